"""pyreqwest, whose HTTP is written in Rust, as its documentation uses it."""

from pathlib import Path
from typing import Any

from pyreqwest.client import ClientBuilder, SyncClientBuilder
from pyreqwest.multipart import FormBuilder, PartBuilder

from . import FILE_ID, KEY

_HEADERS = {"Authorization": f"Bearer {KEY}"}


class AsyncPeer:
    """One client with its defaults; its errors are raised by status."""

    def __init__(self, base: str) -> None:
        self._url = f"{base}/api/v1/files"
        self._client = ClientBuilder().default_headers(_HEADERS).error_for_status(True).build()

    async def _get(self, rest: str) -> Any:  # noqa: ANN401
        response = await self._client.get(self._url + rest).build().send()
        return await response.json()

    async def retrieve(self) -> object:
        """Return one file's metadata."""
        return await self._get(f"/{FILE_ID}")

    async def page(self) -> int:
        """Return the number of files on a page."""
        return len((await self._get("?limit=1000"))["data"])

    async def upload(self, path: Path) -> int:
        """Upload a file in a form."""
        part = await PartBuilder.from_file(path)
        form = FormBuilder().part("file", part.file_name(path.name))
        response = await self._client.post(self._url).multipart(form).build().send()
        return int((await response.json())["size_bytes"])

    async def download(self, path: Path) -> None:
        """Download in chunks, with blocking writes."""
        request = self._client.get(f"{self._url}/{FILE_ID}/content").build_streamed()
        async with request as response:
            with path.open("wb") as file:
                while chunk := await response.body_reader.read_chunk():
                    file.write(chunk)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()


class SyncPeer:
    """One blocking client."""

    def __init__(self, base: str) -> None:
        self._url = f"{base}/api/v1/files"
        self._client = SyncClientBuilder().default_headers(_HEADERS).error_for_status(True).build()

    def retrieve(self) -> object:
        """Return one file's metadata."""
        return self._client.get(f"{self._url}/{FILE_ID}").build().send().json()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
