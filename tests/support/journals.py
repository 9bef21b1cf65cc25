"""Numbered entries, files and outcomes, for the journal's tests and the processes they start."""

from datetime import UTC, datetime

from attrs import evolve

from openrouter_async.models import FileMetadata
from openrouter_async.transfers.journal import Destination, JournalEntry
from openrouter_async.transfers.results import Outcome

HERE = Destination(server="https://here.example/api/v1", workspace="w-1")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def entry(number, **changes):
    name = f"set/file-{number}.txt"
    return evolve(
        JournalEntry(path=f"/data/{name}", filename=name, size=10, mtime_ns=number), **changes
    )


def file(number):
    name = f"set/file-{number}.txt"
    return FileMetadata(id=f"id-{number}", filename=name, size_bytes=10, created_at=NOW)


def uploaded(number):
    return Outcome(source=None, status="uploaded", file=file(number))


async def upload(journal, number):
    """Start and finish an entry, and print each word when the journal has it."""
    await journal.start(entry(number), NOW)
    print("started", number, flush=True)  # noqa: T201
    await journal.finish(entry(number), uploaded(number))
    print("finished", number, flush=True)  # noqa: T201
