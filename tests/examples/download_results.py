"""Download the files that the service created, with a progress bar."""

import asyncio

from rich.progress import Progress

from openrouter_async import AsyncOpenRouter, transfers


async def main() -> None:
    async with AsyncOpenRouter() as client:
        made = [file async for file in client.files.list(limit=1000) if file.downloadable]
        with Progress() as bar:
            watching = transfers.rich_progress(bar)
            async for outcome in client.files.download_many(made, "results", progress=watching):
                bar.console.print(outcome.path or outcome.error)


asyncio.run(main())
