"""httpx with its default limits and timeouts."""

import httpx

from ._httpx_api import AsyncClientPeer, ClientPeer


class AsyncPeer(AsyncClientPeer):
    """One ``AsyncClient``."""

    library = httpx


class SyncPeer(ClientPeer):
    """One ``Client``."""

    library = httpx
