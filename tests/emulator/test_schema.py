"""The schema version of a data directory: earlier layouts are migrated, newer ones refused."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from openrouter_async.emulator import run_emulator
from openrouter_async.emulator.store import schema

from .conftest import client_of

LATEST = len(schema.MIGRATIONS)
ADD_COLUMN = "ALTER TABLE files ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"


def query(data: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query; the emulator must not run."""
    with contextlib.closing(sqlite3.connect(data / "emulator.sqlite3")) as database:
        rows = database.execute(sql).fetchall()
        database.commit()
        return rows


def contents(data: Path) -> dict[str, bytes]:
    """Return every file of the directory and its bytes."""
    return {path.name: path.read_bytes() for path in data.rglob("*") if path.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that holds a file."""
    with run_emulator(tmp_path) as emulator:
        emulator.create_file("a.txt", b"abc")
    return tmp_path


def names(data: Path) -> list[str]:
    """Start an emulator in the directory and list its files."""
    with run_emulator(data) as emulator, client_of(emulator, emulator.api_key) as http:
        return [file["filename"] for file in http.get("/files").json()["data"]]


def test_a_new_directory_has_the_latest_version(data: Path) -> None:
    assert query(data, "PRAGMA user_version") == [(LATEST,)]


@pytest.fixture
def old_data(data: Path) -> Path:
    """A data directory of version 1 that holds a file."""
    with contextlib.closing(sqlite3.connect(data / "emulator.sqlite3")) as database:
        database.executescript("""
            DROP TABLE storage_use;
            DROP TRIGGER file_inserted;
            DROP TRIGGER file_deleted;
            DROP INDEX deleted_files_by_workspace;
            DROP INDEX keys_by_workspace;
            DROP INDEX default_workspace;
            ALTER TABLE files DROP COLUMN purpose;
            DROP TABLE container_files;
            DROP TABLE keys;
            CREATE TABLE keys (
                digest BLOB PRIMARY KEY, workspace_id TEXT, user_id TEXT, management INTEGER
            );
            PRAGMA user_version = 1;
        """)
    return data


@pytest.mark.parametrize("version", [0, 1])
def test_a_directory_of_an_earlier_version_is_brought_up_to_date(
    old_data: Path, version: int
) -> None:
    """Version 0 is a directory of version 1 from before versions were kept."""
    query(old_data, f"PRAGMA user_version = {version}")
    assert names(old_data) == ["a.txt"]
    assert query(old_data, "PRAGMA user_version") == [(LATEST,)]
    assert query(old_data, "SELECT bytes FROM storage_use") == [(3,)]


def test_the_storage_in_use_is_the_sum_of_the_sizes(data: Path) -> None:
    """Whatever is uploaded and deleted, in several workspaces, also with a whole workspace."""
    with run_emulator(data, quota_bytes=2000) as emulator:
        http = client_of(emulator, emulator.management_key)
        ids = [
            http.post("/workspaces", json={"name": slug, "slug": slug}).json()["data"]["id"]
            for slug in ("one", "two", "three")
        ]
        emulator.providers(openai=True)
        for number, place in enumerate([*ids, *ids]):
            params = {"workspace_id": place, **({"provider": "openai"} if number > 3 else {})}
            for size in (number + 1, 100, 1990):  # the last exceeds the quota
                files = {"file": ("a.txt", b"x" * size)}
                file = http.post("/files", files=files, params=params).json()
            assert file["error"]["code"] == 403
            found = http.get("/files", params=params).json()["data"]
            http.delete(f"/files/{found[0]['id']}", params=params)
        http.delete("/workspaces/two")
        http.close()
    summed = "SELECT workspace_id, sum(size_bytes) FROM files GROUP BY 1 ORDER BY 1"
    rows = query(data, "SELECT * FROM storage_use WHERE bytes != 0 ORDER BY 1")
    assert rows == query(data, summed)
    assert len(rows) == 3


def test_deleting_a_workspace_finds_what_is_in_it_by_an_index(data: Path) -> None:
    """SQLite scans a table that refers to the deleted row if no index begins with that column."""
    for (table,) in query(data, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        indexes = query(data, f"PRAGMA index_list({table})")
        indexed = {query(data, f"PRAGMA index_info({index[1]})")[0][2] for index in indexes}
        assert {key[3] for key in query(data, f"PRAGMA foreign_key_list({table})")} <= indexed


def test_a_migration_adds_a_column_and_keeps_the_rows(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ADD_COLUMN))
    for _ in range(2):  # the second start has nothing left to migrate
        assert names(data) == ["a.txt"]
        assert query(data, "SELECT filename, note FROM files") == [("a.txt", "none")]
        assert query(data, "PRAGMA user_version") == [(LATEST + 1,)]


def test_a_migration_that_rebuilds_a_table_keeps_the_rows_that_refer_to_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild = """
        CREATE TABLE copy AS SELECT * FROM workspaces;
        DROP TABLE workspaces;
        ALTER TABLE copy RENAME TO workspaces;
        CREATE UNIQUE INDEX workspace_ids ON workspaces (id);
    """
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, rebuild))
    assert names(data) == ["a.txt"]


def test_a_directory_of_a_newer_version_is_refused_unchanged(data: Path) -> None:
    query(data, "PRAGMA user_version = 7")
    before = contents(data)
    with pytest.raises(RuntimeError, match=rf"newer version .*schema 7; this one knows {LATEST}"):
        run_emulator(data).__enter__()
    assert contents(data) == before


@pytest.mark.parametrize("failing", ["SELECT * FROM missing", "CREATE TABLE"])
def test_a_migration_that_fails_leaves_the_directory_as_it_was(
    data: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before = contents(data)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ADD_COLUMN, failing))
        with pytest.raises(
            RuntimeError, match=f"could not be migrated from schema {LATEST} to {LATEST + 2}: "
        ):
            run_emulator(data).__enter__()
    assert contents(data) == before
    assert names(data) == ["a.txt"]
