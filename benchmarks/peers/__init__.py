"""The clients to compare, each in its own module that imports only that library."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

__all__ = ["FILE_ID", "KEY", "PEERS", "AsyncPeer", "Peer", "SyncPeer"]

KEY: Final = "sk-or-v1-benchmark"
FILE_ID: Final = "file_011CNha8iCJcU1wXN000000"


class AsyncPeer(Protocol):
    """Interface of ``AsyncPeer(base)`` in a peer's module, constructed in the running loop."""

    async def retrieve(self) -> object:
        """Return one file's decoded metadata."""

    async def page(self) -> int:
        """Decode a page of files and return the number of files."""

    async def upload(self, path: Path) -> int:
        """Upload a file and return the size that the service reports."""

    async def download(self, path: Path) -> None:
        """Download the content into a file."""

    async def aclose(self) -> None:
        """Close the connections."""


class SyncPeer(Protocol):
    """Interface of ``SyncPeer(base)`` in a peer's module."""

    def retrieve(self) -> object:
        """Return one file's decoded metadata."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True)
class Peer:
    """A client to compare.

    Attributes:
        name: The name in options and results, and of its module.
        label: The name in tables.
        distribution: The package whose version is reported.
        imports: Code that imports the client.
        construct: Expression, evaluated in a running loop, that creates the client.
        sync: Whether it has a sync client.
    """

    name: str
    label: str
    distribution: str | None
    imports: str
    construct: str
    sync: bool = True


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer("raw", "raw asyncio socket", None, "import asyncio", "None"),
        Peer(
            "aiohttp",
            "aiohttp",
            "aiohttp",
            "import aiohttp",
            "aiohttp.ClientSession()",
            sync=False,
        ),
        Peer(
            "pyreqwest",
            "pyreqwest",
            "pyreqwest",
            "from pyreqwest.client import ClientBuilder",
            "ClientBuilder().build()",
        ),
        Peer("httpx", "httpx", "httpx", "import httpx", "httpx.AsyncClient()"),
        Peer("httpx2", "httpx2", "httpx2", "import httpx2", "httpx2.AsyncClient()"),
        Peer("niquests", "niquests", "niquests", "import niquests", "niquests.AsyncSession()"),
        Peer(
            "openrouter",
            "openrouter",
            "openrouter",
            "from openrouter import OpenRouter",
            f"OpenRouter(api_key={KEY!r}).files",
        ),
        Peer(
            "openai",
            "openai",
            "openai",
            "from openai import AsyncOpenAI",
            f"AsyncOpenAI(api_key={KEY!r}).files",
        ),
        Peer(
            "ours",
            "openrouter_async",
            "openrouter_async",
            "from openrouter_async import AsyncOpenRouter",
            f"AsyncOpenRouter({KEY!r}).files",
        ),
    )
}
