"""Spans and metrics for OpenTelemetry, from hooks; the extra ``otel`` installs its API.

Names follow the semantic conventions for HTTP clients:
https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and ``…/http-metrics/``.

| metric | unit | value |
|---|---|---|
| ``http.client.request.duration`` | s | time of an attempt, until its response was read |
| ``http.client.request.body.size`` | By | bytes that an attempt sent |
| ``http.client.response.body.size`` | By | bytes that it received, without streamed content |
| ``http.client.request.time_in_queue`` | s | time until an attempt had a connection |
| ``http.client.open_connections`` | connection | open connections by ``http.connection.state`` |
| ``openrouter.client.queued_requests`` | request | requests that are waiting for a connection |
| ``openrouter.client.call.attempts`` | attempt | attempts at a call |
"""

import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from weakref import WeakSet

from attrs import define

from ._core.hooks import (
    AttemptEvent,
    CallEvent,
    DoneEvent,
    Hooks,
    RequestEvent,
    ResponseEvent,
    ResultEvent,
    check_hooks,
    notify,
)
from ._http.messages import HasPoolStats, PoolStats
from ._version import __version__

try:
    from opentelemetry import context, metrics, propagate, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider
except ModuleNotFoundError as error:
    _MISSING = "opentelemetry-api is not installed: pip install 'openrouter_async[otel]'"
    raise ModuleNotFoundError(_MISSING, name=error.name) from None

__all__ = ["instrument"]

E = TypeVar("E")

_SCOPE: Final = "openrouter_async"
_PORTS: Final = {"http": 80, "https": 443}
_FIRST_ERROR_STATUS: Final = 400

# The buckets of the conventions, and larger ones for uploads.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BYTES: Final = tuple(4.0**power for power in range(4, 14))
_ATTEMPTS: Final = (1, 2, 3, 4, 5, 6, 8, 10)

# The keys that opentelemetry-instrumentation sets; the last is its older, plain one.
_SUPPRESS_ALL: Final = (
    getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", ""),
    "suppress_instrumentation",
)
_SUPPRESS_HTTP: Final = (getattr(context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", ""),)

Hook = Callable[[E], Awaitable[None] | None]
Attributes = dict[str, str | int]


def instrument(
    hooks: Hooks | None = None,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    propagate: bool = False,
) -> Hooks:
    """Return hooks that trace and measure a client's calls.

    Each call is a span, which is current while the call runs, and each attempt is a client span
    below it. Use one value for all clients: a second one would count their connections again.
    Under OpenTelemetry's ``suppress_instrumentation()`` a call leaves no span, metric or header;
    under ``suppress_http_instrumentation()`` only its attempts leave none.

    Example:
        ```python
        from openrouter_async.otel import instrument

        async with AsyncOpenRouter(hooks=instrument()) as watched:
            await watched.files.list()
        ```

    Args:
        hooks: Hooks to call as well, inside the spans.
        tracer_provider: The global provider if omitted.
        meter_provider: The global provider if omitted.
        propagate: Whether to send the context with the global propagator, by default in the
            headers ``traceparent``, ``tracestate`` and ``baggage``.

    Returns:
        Hooks for ``AsyncOpenRouter(hooks=…)`` or ``OpenRouter(hooks=…)``.
    """
    recorder = _Recorder(
        trace.get_tracer(_SCOPE, __version__, tracer_provider),
        metrics.get_meter(_SCOPE, __version__, meter_provider),
        propagates=propagate,
    )
    others = check_hooks(hooks)
    # The recorder comes first at starts and last at ends, so that the others run inside the spans.
    return Hooks(
        on_call=_in_order(recorder.call, others.on_call),
        on_request=_in_order(recorder.request, others.on_request),
        on_response=_in_order(recorder.response, others.on_response),
        on_result=_in_order(others.on_result, recorder.result),
        on_retry=others.on_retry,
        on_done=_in_order(others.on_done, recorder.done),
    )


def _in_order(first: Hook[E] | None, second: Hook[E] | None) -> Hook[E] | None:
    if first is None or second is None:
        return first or second

    async def both(event: E) -> None:
        try:
            await notify(first, event)
        finally:  # a span ends even if the caller's hook fails
            await notify(second, event)

    return both


@define(eq=False)
class _Call:
    """A running call."""

    path: str
    span: Span | None
    """None if instrumentation is suppressed."""
    with_attempts: bool
    token: Any = None
    attempts: int = 0
    attempt: Span | None = None
    began: float = 0.0
    """When the latest attempt started."""

    def attributes(self, event: AttemptEvent) -> Attributes:
        """Return the attributes that spans and metrics of an attempt share."""
        return _attributes(event.method, event.url, self.path)


class _Recorder:
    """Records events as spans and metrics."""

    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter, *, propagates: bool) -> None:
        self._tracer = tracer
        self._propagates = propagates
        # The running call is kept in the context, which its task and child tasks share.
        self._key = context.create_key(_SCOPE)
        self._pools: WeakSet[HasPoolStats] = WeakSet()
        self._lock = threading.Lock()
        self._make_instruments(meter)

    def _make_instruments(self, meter: metrics.Meter) -> None:
        def histogram(name: str, unit: str, bounds: Iterable[float]) -> metrics.Histogram:
            return meter.create_histogram(
                name, unit, explicit_bucket_boundaries_advisory=list(bounds)
            )

        self._duration = histogram("http.client.request.duration", "s", _SECONDS)
        self._queued = histogram("http.client.request.time_in_queue", "s", _SECONDS)
        self._sent = histogram("http.client.request.body.size", "By", _BYTES)
        self._received = histogram("http.client.response.body.size", "By", _BYTES)
        self._attempts = histogram("openrouter.client.call.attempts", "{attempt}", _ATTEMPTS)
        meter.create_observable_up_down_counter(
            "http.client.open_connections", [self._open], "{connection}"
        )
        meter.create_observable_up_down_counter(
            "openrouter.client.queued_requests", [self._waiting], "{request}"
        )

    # Events

    def call(self, event: CallEvent) -> None:
        """Start a call's span and make it the current one."""
        here, span = context.get_current(), None
        if not _is_set(_SUPPRESS_ALL):
            if event.connections not in self._pools:
                with self._lock:
                    self._pools.add(event.connections)
            span = self._tracer.start_span(
                f"OpenRouter {event.method} {event.path}",
                attributes=_attributes(event.method, event.url, event.path),
            )
            here = trace.set_span_in_context(span)
        running = _Call(event.path, span, span is not None and not _is_set(_SUPPRESS_HTTP))
        running.token = context.attach(context.set_value(self._key, running, here))

    def request(self, event: RequestEvent) -> None:
        """Start an attempt's span."""
        call = self._current()
        call.attempts = event.attempt
        if call.span is None or not call.with_attempts:
            return
        attributes = {**call.attributes(event), "url.full": event.url}
        if event.attempt > 1:
            attributes["http.request.resend_count"] = event.attempt - 1
        call.attempt = self._tracer.start_span(
            f"{event.method} {call.path}",
            trace.set_span_in_context(call.span),
            kind=SpanKind.CLIENT,
            attributes=attributes,
        )
        if self._propagates:
            propagate.inject(event.headers, trace.set_span_in_context(call.attempt))
        call.began = time.perf_counter()

    def response(self, event: ResponseEvent) -> None:
        """Record the time that an attempt was queued."""
        call = self._current()
        if event.queue_time is not None and call.with_attempts:
            self._queued.record(event.queue_time, call.attributes(event))

    def result(self, event: ResultEvent) -> None:
        """Record an attempt and end its span."""
        call = self._current()
        span, call.attempt = call.attempt, None
        if span is None:  # it ended before it was sent, or is suppressed
            return
        outcome = _outcome(event.error, event.status_code)
        attributes = {**call.attributes(event), **outcome}
        self._duration.record(time.perf_counter() - call.began, attributes)
        self._sent.record(event.sent, attributes)
        self._received.record(event.received, attributes)
        span.set_attributes(
            {
                **outcome,
                "http.request.body.size": event.sent,
                "http.response.body.size": event.received,
            }
        )
        _end(span, outcome, event.error if event.status_code is None else None)

    def done(self, event: DoneEvent) -> None:
        """Record a call and end its span."""
        call = self._current()
        context.detach(call.token)
        if call.span is None:
            return
        outcome = _outcome(event.error, getattr(event.error, "status_code", None))
        outcome.pop("http.response.status_code", None)  # an attribute of attempts
        attributes = _attributes(event.method, event.url, event.path)
        self._attempts.record(call.attempts, {**attributes, **outcome})
        call.span.set_attributes(outcome)
        if event.error is not None:
            call.span.record_exception(event.error)
        _end(call.span, outcome, event.error)

    def _current(self) -> _Call:
        return context.get_value(self._key)  # type: ignore[return-value] # set by `call`

    # Connections: observed by the metrics reader, in its own thread

    def _pool_stats(self) -> list[PoolStats]:
        with self._lock:
            pools = list(self._pools)
        return [pool.pool_stats() for pool in pools]

    def _open(self, _: CallbackOptions) -> Iterable[Observation]:
        pools = self._pool_stats()
        idle = sum(pool.idle for pool in pools)
        active = sum(pool.open for pool in pools) - idle
        yield Observation(idle, {"http.connection.state": "idle"})
        yield Observation(active, {"http.connection.state": "active"})

    def _waiting(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(sum(pool.waiting for pool in self._pool_stats()))


def _is_set(keys: Iterable[str]) -> bool:
    """Whether the current context sets one of these keys."""
    return any(context.get_value(key) for key in keys)


def _attributes(method: str, url: str, path: str) -> Attributes:
    parts = urlsplit(url)
    return {
        "http.request.method": method,
        "server.address": parts.hostname or "",
        "server.port": parts.port or _PORTS[parts.scheme],
        "url.template": path,
    }


def _outcome(error: BaseException | None, status: int | None) -> Attributes:
    outcome: Attributes = {}
    if status is not None:
        outcome["http.response.status_code"] = status
    if status is not None and status >= _FIRST_ERROR_STATUS:
        outcome["error.type"] = str(status)
    elif error is not None:
        outcome["error.type"] = f"{type(error).__module__}.{type(error).__qualname__}"
    return outcome


def _end(span: Span, outcome: Attributes, error: BaseException | None) -> None:
    if "error.type" in outcome:
        span.set_status(StatusCode.ERROR, None if error is None else str(error))
    span.end()
