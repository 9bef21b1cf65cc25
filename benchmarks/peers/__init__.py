"""The clients under test, each in a module of its own that imports its library and no other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

__all__ = ["FILE_ID", "KEY", "PEERS", "AsyncPeer", "BlockingPeer", "Peer"]

KEY: Final = "sk-or-v1-benchmark"
FILE_ID: Final = "file_011CNha8iCJcU1wXN000000"


class AsyncPeer(Protocol):
    """What a peer's module offers as ``AsyncPeer(base)``, made inside the running loop."""

    async def retrieve(self) -> object:
        """One file's metadata, decoded."""

    async def page(self) -> int:
        """A page of files, decoded; how many there are on it."""

    async def upload(self, path: Path) -> int:
        """Upload a file; the size that the service gives it."""

    async def download(self, path: Path) -> None:
        """Download the content into a file."""

    async def aclose(self) -> None:
        """Close the connections."""


class BlockingPeer(Protocol):
    """What a peer's module offers as ``BlockingPeer(base)``."""

    def retrieve(self) -> object:
        """One file's metadata, decoded."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True)
class Peer:
    """A client under test.

    Attributes:
        name: Its name in options and results, and of its module.
        label: Its name in tables.
        distribution: The package whose version is told.
        imports: Python that brings the client into a fresh interpreter.
        construct: Python, inside a running loop, up to the attribute that calls begin with.
        blocking: Whether it has a sync client.
    """

    name: str
    label: str
    distribution: str | None
    imports: str
    construct: str
    blocking: bool = True


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
            blocking=False,
        ),
        Peer("httpx", "httpx", "httpx", "import httpx", "httpx.AsyncClient()"),
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
