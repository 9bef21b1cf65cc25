"""Hooks: callables that observe each call and each attempt at it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Final, Protocol, TypeVar

from attrs import field, fields, frozen

from .._http.messages import HasPoolStats
from ..errors import InvalidRequestError, request_id_from

__all__ = [
    "AttemptEvent",
    "CallEvent",
    "DoneEvent",
    "Hooks",
    "Pace",
    "RequestEvent",
    "ResponseEvent",
    "ResultEvent",
    "RetryEvent",
    "check_hooks",
    "notify",
]

Event = TypeVar("Event")


@frozen(kw_only=True)
class CallEvent:
    """A call starts: one operation, with all attempts at it.

    Example:
        ```python
        from openrouter_async import CallEvent, Hooks

        def show(event: CallEvent) -> None:
            print(event.method, event.path)

        async with AsyncOpenRouter(hooks=Hooks(on_call=show)) as watched:
            await watched.files.list()
        ```
    """

    method: str
    path: str
    """The endpoint's path, parameters in braces: ``/files/{file_id}``."""
    url: str
    """The URL without its query."""
    connections: HasPoolStats = field(repr=False)
    """The client's connections; ``connections.pool_stats()`` returns how they are used."""


@frozen(kw_only=True)
class DoneEvent(CallEvent):
    """A call has ended. Streamed content is still to be read.

    Example:
        ```python
        from openrouter_async import DoneEvent, Hooks

        def show(event: DoneEvent) -> None:
            print(event.method, event.path, event.error or f"{event.elapsed:.3f} s")

        async with AsyncOpenRouter(hooks=Hooks(on_done=show)) as watched:
            await watched.files.list()
        ```
    """

    error: BaseException | None
    """The exception that the call raised (perhaps a ``CancelledError``), or None."""
    elapsed: float
    """Seconds, including waits between attempts."""


@frozen(kw_only=True)
class AttemptEvent:
    """Base class of an attempt's events. It never contains the request's headers or the key.

    Example:
        ```python
        from openrouter_async import AttemptEvent, Hooks

        def show(event: AttemptEvent) -> None:
            print(type(event).__name__, event.method, event.url, event.attempt)

        async with AsyncOpenRouter(hooks=Hooks(on_request=show, on_response=show)) as watched:
            await watched.files.list()
        ```
    """

    method: str
    url: str
    """The URL without its query."""
    attempt: int
    """Counted from 1."""


@frozen(kw_only=True)
class RequestEvent(AttemptEvent):
    """An attempt's request is about to be sent.

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
    """Empty; headers that a hook adds are sent, unless the request already has the same one."""


@frozen(kw_only=True)
class ResponseEvent(AttemptEvent):
    """The headers of a response have arrived, with any status.

    Example:
        ```python
        from openrouter_async import Hooks, ResponseEvent

        def time(event: ResponseEvent) -> None:
            print(event.url, event.status_code, event.request_id, f"{event.elapsed:.3f} s")

        async with AsyncOpenRouter(hooks=Hooks(on_response=time)) as watched:
            await watched.files.list()
        ```
    """

    status_code: int
    elapsed: float
    """Seconds from the attempt's start to the response's headers."""
    queue_time: float | None = None
    """The part of ``elapsed`` spent waiting for a connection or opening one.

    None with an ``http_transport`` of the caller, which does not measure it."""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """The response's headers, names in lower case."""

    @property
    def request_id(self) -> str | None:
        """The service's id for the request, to quote to OpenRouter's support."""
        return request_id_from(self.headers)

    @property
    def waited(self) -> float | None:
        """Old name of ``queue_time``."""
        return self.queue_time


@frozen(kw_only=True)
class ResultEvent(AttemptEvent):
    """An attempt has ended, with any outcome. Streamed content is still to be read.

    Example:
        ```python
        from openrouter_async import Hooks, ResultEvent

        def show(event: ResultEvent) -> None:
            print(event.status_code, event.error, event.sent, event.received)

        async with AsyncOpenRouter(hooks=Hooks(on_result=show)) as watched:
            await watched.files.list()
        ```
    """

    error: BaseException | None
    """The exception that ended the attempt (perhaps a ``CancelledError``), or None."""
    status_code: int | None
    """None if no response arrived."""
    elapsed: float
    """Seconds from the attempt's start to its end."""
    sent: int
    """Bytes of the request's body that were passed to the connection."""
    received: int
    """Bytes of the response's body that arrived."""


@frozen(kw_only=True)
class RetryEvent(AttemptEvent):
    """An attempt failed, and another follows.

    Example:
        ```python
        from openrouter_async import Hooks, RetryEvent

        def show(event: RetryEvent) -> None:
            print(f"{event.error}; again in {event.wait:.1f} s")

        async with AsyncOpenRouter(hooks=Hooks(on_retry=show)) as watched:
            await watched.files.list()
        ```
    """

    error: Exception
    status_code: int | None
    """None if no response arrived."""
    elapsed: float
    """Seconds from the attempt's start to its failure."""
    wait: float
    """Seconds until the next attempt."""


@frozen(kw_only=True)
class Hooks:
    """Sync or async callables that observe a client's calls.

    All hooks of a call run in the call's own task, so the later ones see a context variable that
    ``on_call`` sets. An exception in a hook ends the call. A sync hook must not block: it runs in
    the event loop. ``on_result`` and ``on_done`` are also called for a cancelled call, and should
    be sync: a second cancellation would interrupt what they await.

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

    def __attrs_post_init__(self) -> None:
        for name in _HOOK_NAMES:
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                msg = f"{name} must be callable or None, not {hook!r:.100}"
                raise InvalidRequestError(msg)


_HOOK_NAMES: Final = tuple(attribute.name for attribute in fields(Hooks))


def check_hooks(hooks: object) -> Hooks:
    """Return ``hooks``, or none at all for None.

    Raises:
        InvalidRequestError: The value has another type.
    """
    if hooks is None:
        return Hooks()
    if not isinstance(hooks, Hooks):
        allowed = ", ".join(f"{name}=…" for name in _HOOK_NAMES)
        msg = f"hooks must be Hooks({allowed}), not {hooks!r:.100}"
        raise InvalidRequestError(msg)
    return hooks


class Pace(Protocol):
    """What paces the attempts of many calls; unlike hooks it needs no events, which take time."""

    async def before_attempt(self) -> None:
        """Wait until an attempt may start."""
        ...

    def note_response(self, method: str, status_code: int) -> None:
        """Take note of a response."""
        ...

    async def before_retry(self, error: Exception) -> None:
        """Wait until an attempt may be repeated."""
        ...


async def notify(hook: Callable[[Event], Awaitable[None] | None], event: Event) -> None:
    """Call a hook, and await its result if it is async."""
    result = hook(event)
    if result is not None and inspect.isawaitable(result):
        await result
