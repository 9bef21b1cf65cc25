"""What is in an emulator's data directory, read from its files and not through its API."""

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing


def digest(content):
    return hashlib.sha256(content).hexdigest()


def stored_contents(data):
    """Return name and hash of each stored file, by its id."""
    address = f"file:{data / 'emulator.sqlite3'}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as database:
        rows = database.execute("SELECT id, filename, blob FROM files").fetchall()
    return {id_: (name, digest((data / "blobs" / blob).read_bytes())) for id_, name, blob in rows}


def folder_contents(root, prefix=""):
    """Count the files below a folder by name and hash."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return Counter(
        (f"{prefix}{path.relative_to(root).as_posix()}", digest(path.read_bytes()))
        for path in files
    )
