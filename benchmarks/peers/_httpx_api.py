"""Clients with the API of httpx, with their default limits and timeouts."""

from pathlib import Path
from typing import Any, ClassVar

from . import FILE_ID, KEY

__all__ = ["AsyncClientPeer", "ClientPeer"]

_HEADERS = {"Authorization": f"Bearer {KEY}"}


class AsyncClientPeer:
    """One ``AsyncClient`` of a library."""

    library: ClassVar[Any]

    def __init__(self, base: str) -> None:
        self._client = self.library.AsyncClient(base_url=f"{base}/api/v1", headers=_HEADERS)

    async def _get(self, path: str) -> Any:  # noqa: ANN401
        response = await self._client.get(path)
        return response.raise_for_status().json()

    async def retrieve(self) -> object:
        """Return one file's metadata."""
        return await self._get(f"/files/{FILE_ID}")

    async def page(self) -> int:
        """Return the number of files on a page."""
        return len((await self._get("/files?limit=1000"))["data"])

    async def upload(self, path: Path) -> int:
        """Upload an open file as multipart; the library reads it in the event loop."""
        with path.open("rb") as file:
            response = await self._client.post("/files", files={"file": (path.name, file)})
        return int(response.raise_for_status().json()["size_bytes"])

    async def download(self, path: Path) -> None:
        """Download with ``aiter_raw`` and blocking writes."""
        url = f"/files/{FILE_ID}/content"
        with path.open("wb") as file:
            async with self._client.stream("GET", url) as response:
                async for chunk in response.raise_for_status().aiter_raw():
                    file.write(chunk)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class ClientPeer:
    """One ``Client`` of a library."""

    library: ClassVar[Any]

    def __init__(self, base: str) -> None:
        self._client = self.library.Client(base_url=f"{base}/api/v1", headers=_HEADERS)

    def retrieve(self) -> object:
        """Return one file's metadata."""
        return self._client.get(f"/files/{FILE_ID}").raise_for_status().json()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
