"""The schema version of a data directory: earlier layouts are migrated, newer ones refused."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from openrouter_async.emulator import run_emulator
from openrouter_async.emulator.store import schema

from .conftest import client_of

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
    assert query(data, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]


def test_a_directory_from_before_versions_is_opened_as_version_1(data: Path) -> None:
    query(data, "PRAGMA user_version = 0")
    assert names(data) == ["a.txt"]
    assert query(data, "PRAGMA user_version") == [(1,)]


def test_a_migration_adds_a_column_and_keeps_the_rows(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ADD_COLUMN))
    for _ in range(2):  # the second start has nothing left to migrate
        assert names(data) == ["a.txt"]
        assert query(data, "SELECT filename, note FROM files") == [("a.txt", "none")]
        assert query(data, "PRAGMA user_version") == [(2,)]


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
    with pytest.raises(RuntimeError, match=r"newer version .*schema 7; this one knows 1"):
        run_emulator(data).__enter__()
    assert contents(data) == before


@pytest.mark.parametrize("failing", ["SELECT * FROM missing", "CREATE TABLE"])
def test_a_migration_that_fails_leaves_the_directory_as_it_was(
    data: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    before = contents(data)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, ADD_COLUMN, failing))
        with pytest.raises(RuntimeError, match="could not be migrated from schema 1 to 3: "):
            run_emulator(data).__enter__()
    assert contents(data) == before
    assert names(data) == ["a.txt"]
