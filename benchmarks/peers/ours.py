"""openrouter_async with its defaults."""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from openrouter_async import AsyncOpenRouter, OpenRouter

from . import FILE_ID, KEY


class AsyncPeer:
    """``AsyncOpenRouter``."""

    def __init__(self, base: str) -> None:
        self._client = AsyncOpenRouter(KEY, server_url=f"{base}/api/v1")

    async def retrieve(self) -> object:
        """Return one file's metadata as a model."""
        return await self._client.files.retrieve(FILE_ID)

    async def page(self) -> int:
        """Return the number of models on a page of files."""
        return len((await self._client.files.list(limit=1000)).data)

    async def upload(self, path: Path) -> int:
        """Upload a path, which is read in threads."""
        return (await self._client.files.upload(path)).size_bytes

    async def upload_all(self, paths: Sequence[Path], concurrency: int) -> int:
        """Run one bulk upload and return the number of stored files."""
        outcomes = self._client.files.upload_many(paths, concurrency=concurrency)
        async with aclosing(outcomes):
            return sum([outcome.status == "uploaded" async for outcome in outcomes])

    async def download(self, path: Path) -> None:
        """Download to a file that is written in threads and renamed when complete."""
        await self._client.files.download_to(FILE_ID, path, overwrite=True)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class SyncPeer:
    """``OpenRouter``."""

    def __init__(self, base: str) -> None:
        self._client = OpenRouter(KEY, server_url=f"{base}/api/v1")

    def retrieve(self) -> object:
        """Return one file's metadata as a model."""
        return self._client.files.retrieve(FILE_ID)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
