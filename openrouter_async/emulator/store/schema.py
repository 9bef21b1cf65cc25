"""The store's tables, and how a data directory of an earlier version is brought up to date.

SQLite keeps a number of ours in the file, ``PRAGMA user_version``: the count of migrations that
the file has been through. To change the tables, append a script to `MIGRATIONS` and never edit
one that was released: a directory made by any earlier version then reaches the same layout.

All missing migrations run in one transaction, together with the new number, so that a failure or
a kill leaves the file as it was. A file with a higher number than ours belongs to a newer version
of this package; opening it could lose what that version stores, so it is refused.

Version 1 creates its tables only if they are missing: directories made before the number was kept
have that layout and the number 0.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["MIGRATIONS", "migrate"]

_VERSION_1: Final = """
CREATE TABLE IF NOT EXISTS workspaces (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    slug TEXT NOT NULL UNIQUE,
    is_default INTEGER NOT NULL,
    settings TEXT NOT NULL,
    include_byok INTEGER NOT NULL DEFAULT 0,
    created_by TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER
);
CREATE TABLE IF NOT EXISTS files (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    filename TEXT NOT NULL,
    mime_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    downloadable INTEGER NOT NULL,
    blob TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS files_by_place ON files (workspace_id, provider, seq);
CREATE TABLE IF NOT EXISTS deleted_files (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    provider TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS budgets (
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    interval TEXT NOT NULL,
    id TEXT NOT NULL,
    limit_usd REAL NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, interval)
);
CREATE TABLE IF NOT EXISTS members (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (workspace_id, user_id)
);
CREATE TABLE IF NOT EXISTS keys (
    digest BLOB PRIMARY KEY,
    workspace_id TEXT,
    user_id TEXT,
    management INTEGER NOT NULL
);
"""
# No request may take longer the more is stored: the sizes of a workspace's files are summed as they
# come and go, and each column that is searched, or that deleting a workspace follows, has an index.
_VERSION_2: Final = """
CREATE TABLE storage_use (
    workspace_id TEXT PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
    bytes INTEGER NOT NULL
);
INSERT INTO storage_use SELECT workspace_id, sum(size_bytes) FROM files GROUP BY workspace_id;
CREATE TRIGGER file_inserted AFTER INSERT ON files BEGIN
    INSERT INTO storage_use VALUES (new.workspace_id, new.size_bytes)
        ON CONFLICT (workspace_id) DO UPDATE SET bytes = bytes + new.size_bytes;
END;
CREATE TRIGGER file_deleted AFTER DELETE ON files BEGIN
    UPDATE storage_use SET bytes = bytes - old.size_bytes WHERE workspace_id = old.workspace_id;
END;
CREATE INDEX deleted_files_by_workspace ON deleted_files (workspace_id);
CREATE INDEX keys_by_workspace ON keys (workspace_id);
CREATE INDEX default_workspace ON workspaces (is_default) WHERE is_default;
"""
_VERSION_3: Final = "ALTER TABLE files ADD COLUMN purpose TEXT"
_VERSION_4: Final = """
ALTER TABLE keys ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE keys ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN expires_at INTEGER;
ALTER TABLE keys ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN updated_at INTEGER;
CREATE TABLE container_files (
    container_id TEXT NOT NULL,
    path TEXT NOT NULL,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
    size_bytes INTEGER NOT NULL,
    blob TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, container_id, path)
);
"""
MIGRATIONS: Final[Sequence[str]] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)
"""SQL scripts without transaction statements; the n-th one leads to version n."""


def migrate(connection: sqlite3.Connection, directory: Path) -> None:
    """Run the migrations that the database has not been through.

    Raises:
        RuntimeError: The database belongs to a newer version, or a migration failed; nothing was
            changed.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    latest = len(MIGRATIONS)
    if version > latest:
        msg = (
            f"{directory} was written by a newer version of this package (schema {version}; this"
            f" one knows {latest}): update the package or use another directory"
        )
        raise RuntimeError(msg)
    if version == latest:
        return
    scripts = ";\n".join(MIGRATIONS[version:])
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;{scripts};\nPRAGMA user_version = {latest};COMMIT"
        )
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        msg = f"{directory} could not be migrated from schema {version} to {latest}: {error}"
        raise RuntimeError(msg) from None
