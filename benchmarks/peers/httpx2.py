"""httpx2, which continues httpx, with its default limits and timeouts."""

import httpx2

from ._httpx_api import AsyncClientPeer, ClientPeer


class AsyncPeer(AsyncClientPeer):
    """One ``AsyncClient``."""

    library = httpx2


class SyncPeer(ClientPeer):
    """One ``Client``."""

    library = httpx2
