"""Spans and metrics, as OpenTelemetry's own exporters get them."""

import asyncio
import subprocess
import sys
import weakref
from collections import Counter
from contextlib import contextmanager

import anyio
import pytest
from attrs import evolve
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from support.failures import raised
from support.handlers import reset, respond_with
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import AsyncOpenRouter, Hooks, OpenRouter, errors
from openrouter_async.otel import instrument

CONTENT = b"hello, world\n"
STORED = FILE | {"size_bytes": len(CONTENT)}


class Telemetry:
    """What was exported."""

    def __init__(self):
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self._reader])
        self.tracer = self.tracer_provider.get_tracer("test")

    def instrument(self, hooks=None, **options):
        return instrument(
            hooks,
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            **options,
        )

    @property
    def spans(self):
        """In the order of their ends."""
        return self._exporter.get_finished_spans()

    def spans_of(self, kind):
        return [span for span in self.spans if span.kind is kind]

    @property
    def calls(self):
        return [span for span in self.spans_of(SpanKind.INTERNAL) if "OpenRouter" in span.name]

    @property
    def attempts(self):
        return self.spans_of(SpanKind.CLIENT)

    @property
    def metrics(self):
        """By name: unit, and the points."""
        data = self._reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return {metric.name: (metric.unit, list(metric.data.data_points)) for metric in found}


@pytest.fixture
def telemetry():
    telemetry = Telemetry()
    yield telemetry
    telemetry.tracer_provider.shutdown()
    telemetry.meter_provider.shutdown()


@pytest.fixture
def instrumented(make_client, telemetry):
    """Makes clients of a server, traced, on each client in turn."""

    def make(server, hooks=None, *, propagate=False, **options):
        hooks = telemetry.instrument(hooks, propagate=propagate)
        return make_client(
            KEY, **{"server_url": server.url, "retries": QUICK} | options, hooks=hooks
        )

    return make


SUPPRESS_ALL = [context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"]


@contextmanager
def suppressed(key):
    """As `opentelemetry.instrumentation.utils.suppress_instrumentation` does it."""
    token = context.attach(context.set_value(key, True))
    try:
        yield
    finally:
        context.detach(token)


@pytest.mark.parametrize("key", SUPPRESS_ALL, ids=["own", "plain"])
async def test_suppressed_instrumentation_leaves_nothing(raw_server, instrumented, telemetry, key):
    """No span, no metric, no header, also of a call that fails; the caller's hooks run."""
    server = await raw_server(respond_with(http_response(503), http_response(200, FILE)))
    events = []
    hooks = Hooks(on_call=events.append, on_response=events.append, on_done=events.append)
    async with instrumented(server, hooks, propagate=True) as client:
        with suppressed(key), telemetry.tracer.start_as_current_span("around") as span:
            await client.files.retrieve("x")
            await raised(errors.InvalidRequestError, client.files.retrieve, "x", server_url="x")
    assert [span.name for span in telemetry.spans] == [span.name]
    observed = {"http.client.open_connections", "openrouter.client.queued_requests"}
    assert telemetry.metrics.keys() <= observed
    assert [request.headers("traceparent") for request in server.requests] == [[], []]
    assert len(events) == 4


async def test_suppressed_http_instrumentation_leaves_the_call_alone(
    raw_server, instrumented, telemetry
):
    """Which is not of the HTTP layer."""
    server = await raw_server(respond_with(http_response(503), http_response(200, FILE)))
    async with instrumented(server, propagate=True) as client:
        with suppressed(context._SUPPRESS_HTTP_INSTRUMENTATION_KEY):
            await client.files.retrieve("x")
        await client.files.retrieve("x")
    assert (len(telemetry.calls), len(telemetry.attempts)) == (2, 1)
    assert [len(request.headers("traceparent")) for request in server.requests] == [0, 0, 1]
    ((_, points), (_, calls)) = (
        telemetry.metrics[name]
        for name in ("http.client.request.time_in_queue", "openrouter.client.call.attempts")
    )
    assert (points[0].count, calls[0].count, calls[0].sum) == (1, 2, 3)


async def test_a_call_is_a_span_and_each_attempt_one_below(raw_server, instrumented, telemetry):
    """By the conventions for HTTP clients."""
    server = await raw_server(respond_with(http_response(503), reset, http_response(200, FILE)))
    async with instrumented(server) as client:
        await client.files.retrieve("x", workspace_id="w-secret")
    (call,), attempts = telemetry.calls, telemetry.attempts
    assert len(telemetry.spans) == 4
    assert call.parent is None
    assert call.name == "OpenRouter GET /files/{file_id}"
    assert call.status.status_code is StatusCode.UNSET
    common = {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "url.template": "/files/{file_id}",
    }
    assert dict(call.attributes) == common
    assert [attempt.name for attempt in attempts] == ["GET /files/{file_id}"] * 3
    assert {attempt.parent.span_id for attempt in attempts} == {call.context.span_id}
    url = {"url.full": f"{server.url}/files/x"}
    nothing = {"http.request.body.size": 0, "http.response.body.size": 0}
    size = len(http_response(200, FILE).partition(b"\r\n\r\n")[2])
    lost = "openrouter_async.errors.ConnectionFailedError"
    assert [dict(attempt.attributes) for attempt in attempts] == [
        common | url | nothing | {"http.response.status_code": 503, "error.type": "503"},
        common | url | nothing | {"error.type": lost, "http.request.resend_count": 1},
        common
        | url
        | nothing
        | {
            "http.response.status_code": 200,
            "http.request.resend_count": 2,
            "http.response.body.size": size,
        },
    ]
    failed = [attempt.status.status_code for attempt in attempts]
    assert failed == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    ends = [attempt.end_time for attempt in attempts]
    assert call.start_time <= attempts[0].start_time <= ends[0] <= attempts[1].start_time
    assert ends[2] <= call.end_time
    exported = "".join(span.to_json() for span in telemetry.spans)
    assert KEY not in exported
    assert "w-secret" not in exported


async def test_a_failure_is_the_calls_too(raw_server, instrumented, telemetry):
    """With what it was."""
    server = await raw_server(
        respond_with(http_response(404, {"error": {"message": "no such file"}}))
    )
    async with instrumented(server) as client:
        await raised(errors.NotFoundResponseError, client.files.retrieve, "x")
    (attempt,), (call,) = telemetry.attempts, telemetry.calls
    assert attempt.attributes["error.type"] == call.attributes["error.type"] == "404"
    assert attempt.attributes["http.response.status_code"] == 404
    assert attempt.status.status_code is call.status.status_code is StatusCode.ERROR
    (event,) = call.events
    assert event.name == "exception"
    assert "no such file" in event.attributes["exception.message"]
    assert KEY not in call.to_json()


async def test_a_repeated_delete_that_finds_nothing_is_no_failure(
    raw_server, instrumented, telemetry
):
    """Of the call; of the attempt it is."""
    server = await raw_server(respond_with(reset, http_response(404)))
    async with instrumented(server) as client:
        await client.files.delete("x")
    assert telemetry.attempts[-1].attributes["error.type"] == "404"
    assert telemetry.calls[0].status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
async def test_the_callers_span_is_the_parent(raw_server, telemetry, client_class):
    """And the current one again when the call is over."""
    server = await raw_server(respond_with(http_response(200, FILE)))

    def blocking():
        with client_class(KEY, server_url=server.url, hooks=telemetry.instrument()) as client:
            client.files.retrieve("x")

    with telemetry.tracer.start_as_current_span("caller") as caller:
        if client_class is OpenRouter:
            await asyncio.to_thread(blocking)
        else:
            async with client_class(
                KEY, server_url=server.url, hooks=telemetry.instrument()
            ) as client:
                await client.files.retrieve("x")
        assert trace.get_current_span() is caller
    assert telemetry.calls[0].parent.span_id == caller.get_span_context().span_id


@pytest.mark.parametrize("ends", ["well", "ill"])
async def test_the_calls_span_is_current_while_it_runs(raw_server, instrumented, telemetry, ends):
    """For the hooks of others, the progress, and wherever the content comes from."""
    found = []

    def look(*_):
        found.append(trace.get_current_span().get_span_context().span_id)

    async def content():
        look()
        with telemetry.tracer.start_as_current_span("read"):
            yield CONTENT
        if ends == "ill":
            msg = "the tape is torn"
            raise LookupError(msg)

    server = await raw_server(respond_with(http_response(200, STORED)))
    hooks = Hooks(on_call=look, on_request=look, on_response=look, on_result=look, on_done=look)
    async with instrumented(server, hooks) as client:
        if ends == "well":
            await client.files.upload(content(), filename="x.txt", progress=look)
        else:
            await raised(errors.UploadSourceError, client.files.upload, content(), filename="x.txt")
    (call,) = telemetry.calls
    reading = next(span for span in telemetry.spans if span.name == "read")
    assert reading.parent.span_id == call.context.span_id
    assert len(found) >= 5
    own = {call.context.span_id, reading.context.span_id}
    assert set(found) <= own
    assert call.context.span_id == found[0] == found[-1]
    assert not trace.get_current_span().get_span_context().is_valid
    if ends == "ill":
        assert call.attributes["error.type"] == "openrouter_async.errors.UploadSourceError"


@pytest.mark.parametrize("name", ["on_call", "on_request", "on_response", "on_result", "on_done"])
async def test_spans_end_even_if_anothers_hook_fails(raw_server, instrumented, telemetry, name):
    """All that began."""

    def hook(event):
        msg = "enough"
        raise LookupError(msg)

    server = await raw_server(respond_with(http_response(200, FILE)))
    async with instrumented(server, Hooks(**{name: hook})) as client:
        await raised(LookupError, client.files.retrieve, "x")
    assert len(telemetry.calls) == 1
    assert len(telemetry.attempts) == (0 if name == "on_call" else 1)
    assert not trace.get_current_span().get_span_context().is_valid


async def test_an_attempt_that_never_began_is_no_span(raw_server, telemetry):
    """As when a bulk run is cancelled while its throttle holds an attempt back."""

    def hold_back(event):
        msg = "not yet"
        raise LookupError(msg)

    server = await raw_server(respond_with(http_response(200, FILE)))
    hooks = evolve(telemetry.instrument(), on_request=hold_back)
    async with AsyncOpenRouter(KEY, server_url=server.url, hooks=hooks) as client:
        await raised(LookupError, client.files.retrieve, "x")
    assert telemetry.attempts == []
    assert telemetry.calls[0].attributes["error.type"] == "builtins.LookupError"


@pytest.mark.parametrize("way", ["native", "scope"])
async def test_spans_end_with_a_cancelled_call(raw_server, telemetry, way):
    """And say so."""

    async def stay(request):
        await asyncio.sleep(60)

    server = await raw_server(respond_with(stay))
    async with AsyncOpenRouter(KEY, server_url=server.url, hooks=telemetry.instrument()) as client:
        if way == "scope":
            with anyio.move_on_after(0.1):
                await client.files.retrieve("x")
        else:
            task = asyncio.create_task(client.files.retrieve("x"))
            await asyncio.sleep(0.1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    for span in (*telemetry.calls, *telemetry.attempts):
        assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert len(telemetry.spans) == 2
    assert not trace.get_current_span().get_span_context().is_valid


async def test_calls_at_the_same_time_are_distinguished(emulator, telemetry):
    """Each attempt stands below its own call."""
    async with AsyncOpenRouter(
        emulator.management_key,
        server_url=emulator.base_url,
        retries=QUICK,
        hooks=telemetry.instrument(),
    ) as client:
        emulator.faults({"operation": "upload_file", "status": 429, "times": 10})
        await asyncio.gather(
            *(client.files.upload(CONTENT, filename=f"{number}.txt") for number in range(40))
        )
    calls = {span.context.span_id for span in telemetry.calls}
    assert len(calls) == 40
    below = Counter(span.parent.span_id for span in telemetry.attempts)
    assert below.keys() == calls
    assert below.total() == 50
    retried = [
        span for span in telemetry.attempts if "http.request.resend_count" in span.attributes
    ]
    assert len(retried) == 10


async def test_bulk_runs_are_traced(emulator, telemetry, tmp_path):
    """Below the caller's span."""
    for number in range(5):
        (tmp_path / f"{number}.txt").write_bytes(CONTENT)
    async with AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, hooks=telemetry.instrument()
    ) as client:
        with telemetry.tracer.start_as_current_span("run") as run:
            report = await client.files.upload_tree(tmp_path)
    assert report.counts == {"uploaded": 5}
    uploads = [span for span in telemetry.calls if span.name == "OpenRouter POST /files"]
    assert {span.parent.span_id for span in uploads} == {run.get_span_context().span_id}
    assert len(uploads) == 5


# Propagation


async def test_the_context_travels_when_asked(raw_server, instrumented, telemetry):
    """Each attempt sends its own, as W3C has it."""
    server = await raw_server(respond_with(http_response(503), http_response(200, FILE)))
    token = context.attach(baggage.set_baggage("tenant", "ünï"))
    async with instrumented(server, propagate=True) as client:
        await client.files.retrieve("x")
    context.detach(token)
    for request, span in zip(server.requests, telemetry.attempts, strict=True):
        ids = span.context
        (sent,) = request.headers("traceparent")
        assert sent.startswith(f"00-{ids.trace_id:032x}-{ids.span_id:016x}-")
        assert request.headers("baggage") == ["tenant=%C3%BCn%C3%AF"]


async def test_the_context_stays_here_unless_asked(raw_server, instrumented):
    """And what the caller sends by itself is left alone."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    async with instrumented(server) as client:
        await client.files.retrieve("x")
    own = {"traceparent": f"00-{1:032x}-{1:016x}-00"}
    async with instrumented(server, propagate=True, default_headers=own) as client:
        await client.files.retrieve("x")
    plain, given = server.requests
    assert plain.headers("traceparent") == []
    assert given.headers("traceparent") == [own["traceparent"]]


# Metrics


async def test_attempts_are_measured(raw_server, instrumented, telemetry):
    """How long, how much, how often, by what came of them."""
    server = await raw_server(respond_with(http_response(503), http_response(200, STORED)))
    async with instrumented(server) as client:
        await client.files.retrieve("x")
        await client.files.upload(CONTENT, filename="x.txt")
    metrics = telemetry.metrics
    where = {"server.address": "127.0.0.1", "server.port": server.port}
    retrieve = {"http.request.method": "GET", "url.template": "/files/{file_id}"} | where
    upload = {"http.request.method": "POST", "url.template": "/files"} | where
    unit, points = metrics["http.client.request.duration"]
    assert unit == "s"
    assert all(p.sum > 0 and p.count == 1 for p in points)
    measured = [dict(p.attributes) for p in points]
    assert len(measured) == 3
    for expected in (
        retrieve | {"http.response.status_code": 503, "error.type": "503"},
        retrieve | {"http.response.status_code": 200},
        upload | {"http.response.status_code": 200},
    ):
        assert expected in measured
    unit, points = metrics["http.client.request.body.size"]
    sent = {p.attributes["http.request.method"]: p.sum for p in points}
    assert (unit, sent) == ("By", {"GET": 0, "POST": len(server.requests[-1].body)})
    unit, points = metrics["http.client.response.body.size"]
    received = sum(p.sum for p in points)
    assert (unit, received) == ("By", 2 * len(http_response(200, STORED).partition(b"\r\n\r\n")[2]))
    unit, points = metrics["openrouter.client.call.attempts"]
    attempts = {p.attributes["http.request.method"]: (p.count, p.sum) for p in points}
    assert (unit, attempts) == ("{attempt}", {"GET": (1, 2), "POST": (1, 1)})


async def test_the_queue_and_the_connections_are_measured(raw_server, telemetry):
    """As they are at the moment, and by how long each attempt waited."""
    arrived, go = asyncio.Event(), asyncio.Event()

    async def hold(request):
        arrived.set()
        await go.wait()
        return http_response(200, FILE)

    def figures():
        metrics = telemetry.metrics
        _, points = metrics["http.client.open_connections"]
        states = {p.attributes["http.connection.state"]: p.value for p in points}
        _, (queued,) = metrics["openrouter.client.queued_requests"]
        return states["active"], states["idle"], queued.value

    server = await raw_server(respond_with(hold))
    async with AsyncOpenRouter(
        KEY, server_url=server.url, hooks=telemetry.instrument(), max_connections=2
    ) as client:
        calls = [asyncio.create_task(client.files.retrieve("x")) for _ in range(5)]
        await arrived.wait()
        await asyncio.sleep(0.2)
        assert figures() == (2, 0, 3)
        go.set()
        await asyncio.gather(*calls)
        assert figures() == (0, 2, 0)
    assert figures() == (0, 0, 0)
    unit, (queue,) = telemetry.metrics["http.client.request.time_in_queue"]
    assert (unit, queue.count) == ("s", 5)
    assert queue.sum >= 3 * 0.2


async def test_a_client_that_is_gone_is_not_kept(raw_server, telemetry):
    """The hooks outlive it."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    hooks = telemetry.instrument()
    async with AsyncOpenRouter(KEY, server_url=server.url, hooks=hooks) as client:
        await client.files.retrieve("x")
    gone = weakref.ref(client.transport.connections)
    del client
    for _ in range(10):
        await asyncio.sleep(0)
    assert gone() is None
    assert telemetry.metrics["http.client.open_connections"][1][0].value == 0


# The extra


async def test_without_a_provider_nothing_happens(raw_server):
    """Only the API is needed; it does nothing until an SDK is set up."""
    server = await raw_server(respond_with(http_response(200, FILE)))
    hooks = instrument(propagate=True)
    async with AsyncOpenRouter(KEY, server_url=server.url, hooks=hooks) as client:
        await client.files.retrieve("x")
    assert server.requests[0].headers("traceparent") == []


def test_without_the_extra_the_error_names_it():
    """And the rest of the package does without."""
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import openrouter_async\n"
        "openrouter_async.AsyncOpenRouter\n"
        "try:\n    import openrouter_async.otel\n"
        "except ImportError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'openrouter_async[otel]'" in run.stdout
