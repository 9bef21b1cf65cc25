"""What a caller can watch: small callables that see each call, and each attempt at it."""

import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TypeVar

from attrs import field, frozen

from .._http.messages import HasPoolStats

__all__ = [
    "AttemptEvent",
    "CallEvent",
    "DoneEvent",
    "Hooks",
    "RequestEvent",
    "ResponseEvent",
    "ResultEvent",
    "RetryEvent",
    "notify",
]

Event = TypeVar("Event")


@frozen(kw_only=True)
class CallEvent:
    """A call begins: an operation, with all attempts at it.

    Example:
        ```python
        from openrouter_async import CallEvent, Hooks

        def tell(event: CallEvent) -> None:
            print(event.method, event.path)

        async with AsyncOpenRouter(hooks=Hooks(on_call=tell)) as watched:
            await watched.files.list()
        ```
    """

    method: str
    path: str
    """The endpoint, its parameters in braces: ``/files/{file_id}``."""
    url: str
    """Without its query."""
    connections: HasPoolStats = field(repr=False)
    """The client's own; ``connections.pool_stats()`` tells how they are used."""


@frozen(kw_only=True)
class DoneEvent(CallEvent):
    """A call is over. Content that is streamed is still to be read.

    Example:
        ```python
        from openrouter_async import DoneEvent, Hooks

        def tell(event: DoneEvent) -> None:
            print(event.method, event.path, event.error or f"{event.elapsed:.3f} s")

        async with AsyncOpenRouter(hooks=Hooks(on_done=tell)) as watched:
            await watched.files.list()
        ```
    """

    error: BaseException | None
    """What it raised; a ``CancelledError`` too."""
    elapsed: float
    """Seconds, waits between attempts and all."""


@frozen(kw_only=True)
class AttemptEvent:
    """What the events of an attempt tell. Never holds the request's headers, so never the key.

    Example:
        ```python
        from openrouter_async import AttemptEvent, Hooks

        def tell(event: AttemptEvent) -> None:
            print(type(event).__name__, event.method, event.url, event.attempt)

        async with AsyncOpenRouter(hooks=Hooks(on_request=tell, on_response=tell)) as watched:
            await watched.files.list()
        ```
    """

    method: str
    url: str
    """Without its query."""
    attempt: int
    """Counted from 1."""


@frozen(kw_only=True)
class RequestEvent(AttemptEvent):
    """An attempt is about to be sent.

    Example:
        ```python
        from openrouter_async import Hooks, RequestEvent

        def count(event: RequestEvent) -> None:
            print(event.method, event.url, event.attempt)

        async with AsyncOpenRouter(hooks=Hooks(on_request=count)) as watched:
            await watched.files.list()
        ```
    """

    headers: MutableMapping[str, str] = field(factory=dict, repr=False)
    """Empty: what a hook puts here is sent too, unless the request has such a header already."""


@frozen(kw_only=True)
class ResponseEvent(AttemptEvent):
    """An attempt was answered, with whatever status.

    Example:
        ```python
        from openrouter_async import Hooks, ResponseEvent

        def time(event: ResponseEvent) -> None:
            print(event.url, event.status_code, f"{event.elapsed:.3f} s")

        async with AsyncOpenRouter(hooks=Hooks(on_response=time)) as watched:
            await watched.files.list()
        ```
    """

    status_code: int
    elapsed: float
    """Seconds from the attempt's start to the response's headers."""
    queue_time: float | None = None
    """Seconds of them until there was a connection: waiting for one and opening it. None if the
    transport does not tell, as one that the caller brought."""

    @property
    def waited(self) -> float | None:
        """Old name of ``queue_time``."""
        return self.queue_time


@frozen(kw_only=True)
class ResultEvent(AttemptEvent):
    """An attempt is over, in whatever way. Content that is streamed is still to be read.

    Example:
        ```python
        from openrouter_async import Hooks, ResultEvent

        def tell(event: ResultEvent) -> None:
            print(event.status_code, event.error, event.sent, event.received)

        async with AsyncOpenRouter(hooks=Hooks(on_result=tell)) as watched:
            await watched.files.list()
        ```
    """

    error: BaseException | None
    """What went wrong; a ``CancelledError`` too."""
    status_code: int | None
    """None where no response came."""
    elapsed: float
    """Seconds from the attempt's start to its end."""
    sent: int
    """Bytes of the request's body that were handed out."""
    received: int
    """Bytes of the response's body that came."""


@frozen(kw_only=True)
class RetryEvent(AttemptEvent):
    """An attempt failed and another follows.

    Example:
        ```python
        from openrouter_async import Hooks, RetryEvent

        def tell(event: RetryEvent) -> None:
            print(f"{event.error}; again in {event.wait:.1f} s")

        async with AsyncOpenRouter(hooks=Hooks(on_retry=tell)) as watched:
            await watched.files.list()
        ```
    """

    error: Exception
    status_code: int | None
    """None where no response came."""
    elapsed: float
    """Seconds from the attempt's start to its failure."""
    wait: float
    """Seconds until the next attempt."""


@frozen(kw_only=True)
class Hooks:
    """Callables, plain or async, called in the order of what happens.

    All of a call's run in its own task, so a context variable that ``on_call`` sets is seen by
    the others. An exception that one raises ends the call. A plain one must not block: on the
    async client it runs in the event loop. Of a call that is cancelled, ``on_result`` and
    ``on_done`` are called too, and should be plain: the next cancellation hits what they await.

    Example:
        ```python
        from openrouter_async import Hooks

        hooks = Hooks(
            on_request=lambda event: print(event.method, event.url),
            on_response=lambda event: print(event.status_code, event.elapsed),
            on_retry=lambda event: print(event.error, event.wait),
        )
        async with AsyncOpenRouter(hooks=hooks) as watched:
            await watched.files.list()
        ```
    """

    on_call: Callable[[CallEvent], Awaitable[None] | None] | None = None
    on_request: Callable[[RequestEvent], Awaitable[None] | None] | None = None
    on_response: Callable[[ResponseEvent], Awaitable[None] | None] | None = None
    on_result: Callable[[ResultEvent], Awaitable[None] | None] | None = None
    on_retry: Callable[[RetryEvent], Awaitable[None] | None] | None = None
    on_done: Callable[[DoneEvent], Awaitable[None] | None] | None = None


async def notify(hook: Callable[[Event], Awaitable[None] | None], event: Event) -> None:
    """Call a hook and wait for it, if it is to be waited for."""
    result = hook(event)
    if inspect.isawaitable(result):
        await result
