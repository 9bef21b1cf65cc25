"""What is on the disk: kept across restarts, consistent after a kill, cleaned up at the start."""

import contextlib
import os
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

import httpx
import pytest

from openrouter_async.emulator import Emulator, run_emulator
from openrouter_async.emulator.store import database as _store

from .conftest import client_of
from .test_server import spawn

MIB = 1024 * 1024


def stored(data: Path) -> dict[str, int]:
    """Return blob names and sizes according to the rows; the emulator must not run."""
    with contextlib.closing(sqlite3.connect(data / "emulator.sqlite3")) as database:
        return dict(database.execute("SELECT blob, size_bytes FROM files"))


def on_disk(data: Path) -> dict[str, int]:
    """Return blob names and sizes according to the directory."""
    return {path.name: path.stat().st_size for path in (data / "blobs").iterdir()}


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    """Files with their contents, workspaces, budgets, members, keys."""
    data = tmp_path / "new" / "directory"
    with run_emulator(data) as emulator, client_of(emulator, emulator.management_key) as http:
        made = emulator.create_file("a.txt", b"abc")
        emulator.add_key("sk-added", management=True)
        http.post("/workspaces", json={"name": "N", "slug": "n"})
        http.put("/workspaces/n/budgets/daily", json={"limit_usd": 1})
        http.post("/workspaces/n/members/add", json={"user_ids": ["user_def456"]})
        before = http.get("/workspaces").json()
    with run_emulator(str(data)) as emulator, client_of(emulator, "sk-added") as http:
        assert http.get("/workspaces").json() == before
        assert http.get(f"/files/{made['id']}/content").content == b"abc"
        assert len(http.get("/workspaces/n/budgets").json()["data"]) == 1
        assert http.get("/workspaces/n/members").json()["total_count"] == 1


def test_contents_have_generated_names(tmp_path: Path) -> None:
    """Nothing that a client sends becomes a path."""
    with run_emulator(tmp_path) as emulator:
        emulator.create_file("folder/name.txt", b"abc")
    assert on_disk(tmp_path) == stored(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if "name" in path.name]


def test_deleting_removes_the_content(tmp_path: Path) -> None:
    """Of a file, of a workspace, of everything."""
    with run_emulator(tmp_path) as emulator, client_of(emulator, emulator.management_key) as http:
        made = emulator.create_file("a.txt", b"abc")
        http.delete(f"/files/{made['id']}")
        assert on_disk(tmp_path) == {}
        data = http.post("/workspaces", json={"name": "N", "slug": "n"}).json()["data"]
        emulator.create_file("a.txt", b"abc", data["id"])
        http.delete("/workspaces/n")
        assert on_disk(tmp_path) == {}
        emulator.create_file("a.txt", b"abc")
        emulator.reset()
        assert on_disk(tmp_path) == {}


def test_leftovers_are_removed_at_the_start(tmp_path: Path) -> None:
    """Unfinished uploads, and contents without a row."""
    with run_emulator(tmp_path) as emulator:
        emulator.create_file("a.txt", b"abc")
    (tmp_path / "partial" / "left").write_bytes(b"over")
    (tmp_path / "blobs" / "left").write_bytes(b"over")
    with run_emulator(tmp_path):
        assert not list((tmp_path / "partial").iterdir())
        assert len(on_disk(tmp_path)) == 1


def test_a_directory_with_other_files_is_refused_unchanged(tmp_path: Path) -> None:
    """Removing leftovers must not delete other files."""
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "mine").write_bytes(b"precious")
    with pytest.raises(RuntimeError, match="is not empty and is not an emulator"):
        run_emulator(tmp_path).__enter__()
    assert (tmp_path / "partial" / "mine").exists()


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "emulator.sqlite3").write_bytes(b"words" * 1000)
    with pytest.raises(RuntimeError, match="file is not a database"):
        run_emulator(tmp_path).__enter__()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    """The first emulator continues undisturbed."""
    with run_emulator(tmp_path) as emulator:
        made = emulator.create_file("a.txt", b"abc")
        with pytest.raises(RuntimeError, match="perhaps another emulator uses it"):
            run_emulator(tmp_path).__enter__()
        with client_of(emulator, emulator.api_key) as http:
            assert http.get(f"/files/{made['id']}/content").content == b"abc"


def test_directories_are_not_synced_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "is not even there"
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        _store.Store(tmp_path).sync_directory(missing)


def _keep_uploading(emulator: Emulator, confirmed: list[str], stop: threading.Event) -> None:
    with client_of(emulator, emulator.api_key) as http:
        while not stop.is_set():
            try:
                response = http.post("/files", files={"file": ("a.txt", b"x" * 50_000)})
                confirmed.append(response.json()["id"])
            except httpx.HTTPError:
                return


def test_a_kill_loses_no_confirmed_upload_and_leaves_no_row_without_its_file(
    tmp_path: Path,
) -> None:
    """Killed during concurrent uploads, several times."""
    confirmed: list[str] = []
    for moment in (0.05, 0.2, 0.35):
        process, base_url = spawn(str(tmp_path))
        emulator = Emulator(
            base_url=base_url, api_key="sk-or-v1-emulator", management_key="", admin_token=""
        )
        stop = threading.Event()
        arguments = (emulator, confirmed, stop)
        threads = [threading.Thread(target=_keep_uploading, args=arguments) for _ in range(4)]
        before = len(confirmed)
        for thread in threads:
            thread.start()
        while len(confirmed) == before:
            time.sleep(0.001)
        time.sleep(moment)
        with process:
            process.kill()
        stop.set()
        for thread in threads:
            thread.join()
        rows, blobs = stored(tmp_path), on_disk(tmp_path)
        assert rows.items() <= blobs.items()
    with run_emulator(tmp_path) as emulator, client_of(emulator, emulator.api_key) as http:
        assert on_disk(tmp_path) == rows
        assert not list((tmp_path / "partial").iterdir())
        files = http.get("/files", params={"limit": 1000}).json()["data"]
    assert {file["id"] for file in files} >= set(confirmed)
    assert len(files) == len(rows)


def test_a_file_as_data_directory_is_refused_with_a_message_that_says_so(tmp_path: Path) -> None:
    """Likewise a path below a file, or one that cannot be created."""
    file = tmp_path / "data.txt"
    file.write_text("thesis")
    with pytest.raises(RuntimeError, match=r"data\.txt is a file: the emulator needs a directory"):
        run_emulator(file).__enter__()
    for path in (file / "below", Path("/proc/version/data"), tmp_path / ("x" * 300)):
        with pytest.raises(
            RuntimeError, match="cannot be used for the emulator's data: "
        ) as caught:
            run_emulator(path).__enter__()
        assert isinstance(caught.value.__cause__, OSError)
    assert file.read_text() == "thesis"


def test_a_temporary_directory_that_cannot_be_created_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(RuntimeError, match=r"missing cannot be used for the emulator's data: "):
        run_emulator().__enter__()
