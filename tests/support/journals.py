"""Numbered entries, files and uploads, for the journal's tests and the processes they start."""

from datetime import UTC, datetime

from attrs import evolve

from openrouter_async.models import FileMetadata
from openrouter_async.transfers.journal import Destination, JournalEntry

HERE = Destination(server="https://here.example/api/v1", workspace="w-1")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def entry(number, **changes):
    return evolve(JournalEntry(f"set/file-{number}.txt", 10, number), **changes)


def file(number, **changes):
    name = f"set/file-{number}.txt"
    file = FileMetadata(id=f"id-{number}", filename=name, size_bytes=10, created_at=NOW)
    return evolve(file, **changes)


def found(journal, *entries):
    """Return the files that entries were uploaded as."""
    return [known and known.file for known in journal.find(entries)]


async def upload(journal, number):
    """Start and finish an entry, and print each word when the journal has it."""
    await journal.start(entry(number), NOW)
    print("started", number, flush=True)  # noqa: T201
    await journal.finish(entry(number), "uploaded", file(number))
    print("finished", number, flush=True)  # noqa: T201
