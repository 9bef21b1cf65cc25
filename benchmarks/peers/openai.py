"""openai with its defaults, with the formats of OpenAI's own Files API."""

from pathlib import Path

from openai import AsyncOpenAI, OpenAI

from . import FILE_ID, KEY


class AsyncPeer:
    """``AsyncOpenAI``."""

    def __init__(self, base: str) -> None:
        self._client = AsyncOpenAI(api_key=KEY, base_url=f"{base}/openai/v1")

    async def retrieve(self) -> object:
        """Return one file's metadata as a model."""
        return await self._client.files.retrieve(FILE_ID)

    async def page(self) -> int:
        """Return the number of models on a page of files."""
        return len((await self._client.files.list(limit=1000)).data)

    async def upload(self, path: Path) -> int:
        """Upload a path, as its documentation recommends."""
        return (await self._client.files.create(file=path, purpose="user_data")).bytes

    async def download(self, path: Path) -> None:
        """Download with its streaming response, which writes the file."""
        streaming = self._client.files.with_streaming_response
        async with streaming.content(FILE_ID) as response:
            await response.stream_to_file(path)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


class SyncPeer:
    """``OpenAI``."""

    def __init__(self, base: str) -> None:
        self._client = OpenAI(api_key=KEY, base_url=f"{base}/openai/v1")

    def retrieve(self) -> object:
        """Return one file's metadata as a model."""
        return self._client.files.retrieve(FILE_ID)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
