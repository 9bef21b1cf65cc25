"""Both faces behind one set of awaitable calls, so that each behaviour is tested once."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio.to_thread

from openrouter_async import AsyncOpenRouter, OpenRouter, SyncDownload, SyncPager
from openrouter_async.namespaces import NAMESPACES

Client = Any  # either client, as tests use it

_END = object()


class _Stepped:
    """A blocking iterator, each step of it in a thread."""

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


class _Namespace:
    def __init__(self, namespace):
        self._namespace = namespace

    def __getattr__(self, name):
        operation = getattr(self._namespace, name)
        if name in {"list", "list_members"}:
            return lambda *args, **kwargs: _Pager(operation(*args, **kwargs))
        if name.endswith("_many"):
            return lambda *args, **kwargs: _Stepped(operation(*args, **kwargs))
        if name == "download":
            return lambda *args, **kwargs: _Download(operation(*args, **kwargs))

        async def call(*args, **kwargs):
            return await anyio.to_thread.run_sync(lambda: operation(*args, **kwargs))

        return call


class BlockingFace:
    """`OpenRouter`, awaited."""

    def __init__(self, *args, blocking=None, **kwargs):
        self.blocking = blocking or OpenRouter(*args, **kwargs)
        for name in NAMESPACES:
            setattr(self, name, _Namespace(getattr(self.blocking, name)))
        self.transport = self.blocking.transport

    def with_options(self, **options):
        return type(self)(blocking=self.blocking.with_options(**options))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        await self.aclose()

    async def aclose(self):
        await self.blocking.aclose()


FACES = [AsyncOpenRouter, BlockingFace]
