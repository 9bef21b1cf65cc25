"""openrouter, the vendor's own client, with its defaults."""

from pathlib import Path
from typing import Any

from openrouter import OpenRouter

from . import FILE_ID, KEY


def _client(base: str) -> Any:  # noqa: ANN401 - its types need casts everywhere
    return OpenRouter(api_key=KEY, server_url=f"{base}/api/v1")


class AsyncPeer:
    """The ``…_async`` methods."""

    def __init__(self, base: str) -> None:
        self._client = _client(base)

    async def retrieve(self) -> object:
        """Return one file's metadata as a model."""
        return await self._client.files.retrieve_async(file_id=FILE_ID)

    async def page(self) -> int:
        """Return the number of models on a page of files."""
        return len((await self._client.files.list_async(limit=1000)).result.data)

    async def upload(self, path: Path) -> int:
        """Upload an open file, as its documentation shows."""
        with path.open("rb") as file:
            content = {"file_name": path.name, "content": file}
            return int((await self._client.files.upload_async(file=content)).size_bytes)

    async def download(self, path: Path) -> None:
        """Download from the httpx response that it returns, with blocking writes."""
        response = await self._client.files.download_async(file_id=FILE_ID)
        with path.open("wb") as file:
            async for chunk in response.aiter_bytes():
                file.write(chunk)
        await response.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.__aexit__(None, None, None)


class SyncPeer:
    """The sync methods."""

    def __init__(self, base: str) -> None:
        self._client = _client(base)

    def retrieve(self) -> object:
        """Return one file's metadata as a model."""
        return self._client.files.retrieve(file_id=FILE_ID)

    def close(self) -> None:
        """Close the connections."""
        self._client.__exit__(None, None, None)
