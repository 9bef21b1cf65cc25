"""Both clients behind one set of awaitable calls, so that each behaviour is tested once."""

import typing
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio.to_thread

from openrouter_async import (
    AsyncOpenRouter,
    Download,
    OpenRouter,
    Pager,
    SyncDownload,
    SyncPager,
)

from .surface import namespaces_of

Client = Any  # either client, as tests use it

_END = object()


class _Stepped:
    """A sync iterator as an async one: each step runs in a thread."""

    def __init__(self, iterator):
        self._iterator = iterator

    def __aiter__(self):
        return self

    async def __anext__(self):
        item = await anyio.to_thread.run_sync(next, self._iterator, _END)
        if item is _END:
            raise StopAsyncIteration
        return item

    async def aclose(self):
        await anyio.to_thread.run_sync(self._iterator.close)


class _Pager:
    def __init__(self, pager: SyncPager):
        self._pager = pager

    def __await__(self):
        return self.page().__await__()

    async def page(self):
        return await anyio.to_thread.run_sync(self._pager.page)

    def pages(self):
        return _Stepped(self._pager.pages())

    def __aiter__(self):
        return _Stepped(iter(self._pager))


class _Download(AbstractAsyncContextManager):
    def __init__(self, download: SyncDownload):
        self._download = download

    @property
    def size(self):
        return self._download.size

    @property
    def content_type(self):
        return self._download.content_type

    async def __aenter__(self):
        await anyio.to_thread.run_sync(self._download.__enter__)
        return self

    async def __aexit__(self, *exc):
        await anyio.to_thread.run_sync(self._download.__exit__, *exc)

    def __aiter__(self):
        return _Stepped(iter(self._download))

    async def read(self):
        return await anyio.to_thread.run_sync(self._download.read)


_VIEWS = {AsyncGenerator: _Stepped, Pager: _Pager, Download: _Download}


class _Namespace:
    def __init__(self, namespace):
        self._namespace = namespace

    def __getattr__(self, name):
        operation = getattr(self._namespace, name)
        returns = operation.__wrapped__.__annotations__["return"]
        if view := _VIEWS.get(typing.get_origin(returns) or returns):
            return lambda *args, **kwargs: view(operation(*args, **kwargs))

        async def call(*args, **kwargs):
            return await anyio.to_thread.run_sync(lambda: operation(*args, **kwargs))

        return call


class AwaitableSyncClient:
    """`OpenRouter` behind awaitable calls; the client itself is ``sync``."""

    def __init__(self, *args, sync=None, **kwargs):
        self.sync = sync or OpenRouter(*args, **kwargs)
        for name, namespace in namespaces_of(self.sync).items():
            setattr(self, name, _Namespace(namespace))
        self.transport = self.sync.transport.async_transport

    def with_options(self, **options):
        return type(self)(sync=self.sync.with_options(**options))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        await self.aclose()

    async def aclose(self):
        await self.sync.aclose()


CLIENTS = [AsyncOpenRouter, AwaitableSyncClient]
"""The async client and the sync one, in the form that tests use."""
