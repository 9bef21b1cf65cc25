"""aiohttp, as its documentation uses it."""

from pathlib import Path
from typing import Any

import aiohttp

from . import FILE_ID, KEY


class AsyncPeer:
    """One session with its default connector."""

    def __init__(self, base: str) -> None:
        self._url = f"{base}/api/v1/files"
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"})

    async def _get(self, rest: str) -> Any:  # noqa: ANN401
        async with self._session.get(self._url + rest, raise_for_status=True) as response:
            return await response.json()

    async def retrieve(self) -> object:
        """Return one file's metadata."""
        return await self._get(f"/{FILE_ID}")

    async def page(self) -> int:
        """Return the number of files on a page."""
        return len((await self._get("?limit=1000"))["data"])

    async def upload(self, path: Path) -> int:
        """Upload an open file in a form; aiohttp reads it in threads."""
        form = aiohttp.FormData()
        with path.open("rb") as file:
            form.add_field("file", file, filename=path.name)
            async with self._session.post(self._url, data=form, raise_for_status=True) as response:
                return int((await response.json())["size_bytes"])

    async def download(self, path: Path) -> None:
        """Download in chunks of at most 1 MiB, with blocking writes."""
        url = f"{self._url}/{FILE_ID}/content"
        async with self._session.get(url, raise_for_status=True) as response:
            with path.open("wb") as file:
                async for chunk in response.content.iter_chunked(1024 * 1024):
                    file.write(chunk)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()
