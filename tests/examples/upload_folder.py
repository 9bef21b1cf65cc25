"""Upload a folder; run it again after any interruption: ``python upload_folder.py docs``."""

import asyncio
import sys

from openrouter_async import AsyncOpenRouter


async def main(folder: str) -> int:
    async with AsyncOpenRouter() as client:
        report = await client.files.upload_tree(folder, journal="uploaded.jsonl")
    for outcome in report.problems:
        print(outcome.source.path, outcome.status, outcome.error, file=sys.stderr)
    for status, count in report.counts.items():
        print(count, status)
    return 0 if report.ok else 1


sys.exit(asyncio.run(main(sys.argv[1])))
