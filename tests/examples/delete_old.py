"""List all files, and delete those older than some days: ``python delete_old.py 30``."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from openrouter_async import AsyncOpenRouter


async def main(days: float) -> None:
    oldest = datetime.now(UTC) - timedelta(days=days)
    async with AsyncOpenRouter() as client:
        async for file in client.files.list(limit=1000):
            print(f"{file.created_at:%Y-%m-%d}  {file.size_bytes:>11,}  {file.filename}")
        async for outcome in client.files.delete_many(match=lambda f: f.created_at < oldest):
            print(outcome.status, outcome.file.filename, outcome.error or "")


asyncio.run(main(float(sys.argv[1])))
