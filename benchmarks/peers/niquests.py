"""niquests with its defaults; over HTTP/1.1, as the others."""

from pathlib import Path
from typing import Any

import niquests

from . import FILE_ID, KEY

_HEADERS = {"Authorization": f"Bearer {KEY}"}


class AsyncPeer:
    """One ``AsyncSession``."""

    def __init__(self, base: str) -> None:
        self._url = f"{base}/api/v1/files"
        self._session = niquests.AsyncSession()
        self._session.headers.update(_HEADERS)

    async def _get(self, rest: str) -> Any:  # noqa: ANN401
        response = await self._session.get(self._url + rest)
        return response.raise_for_status().json()

    async def retrieve(self) -> object:
        """Return one file's metadata."""
        return await self._get(f"/{FILE_ID}")

    async def page(self) -> int:
        """Return the number of files on a page."""
        return len((await self._get("?limit=1000"))["data"])

    async def upload(self, path: Path) -> int:
        """Upload an open file as multipart, which niquests reads as a whole."""
        with path.open("rb") as file:
            response = await self._session.post(self._url, files={"file": (path.name, file)})
        return int(response.raise_for_status().json()["size_bytes"])

    async def download(self, path: Path) -> None:
        """Download in chunks of at most 1 MiB, with blocking writes."""
        response = await self._session.get(f"{self._url}/{FILE_ID}/content", stream=True)
        with path.open("wb") as file:
            async for chunk in await response.raise_for_status().iter_content(1024 * 1024):
                file.write(chunk)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()


class SyncPeer:
    """One ``Session``."""

    def __init__(self, base: str) -> None:
        self._url = f"{base}/api/v1/files"
        self._session = niquests.Session()
        self._session.headers.update(_HEADERS)

    def retrieve(self) -> object:
        """Return one file's metadata."""
        return self._session.get(f"{self._url}/{FILE_ID}").raise_for_status().json()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
