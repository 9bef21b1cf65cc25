"""The key is nowhere but in the ``Authorization`` header, whatever is called and however it ends."""

import asyncio
import gc
import inspect
import json
import logging
import pickle
import pprint
from contextlib import aclosing
from importlib import import_module
from typing import is_typeddict

import attrs
import httpx
import pytest
from rich.pretty import pretty_repr
from rich.traceback import Traceback
from support import reference
from support.calls import CALLS, outcome_of, refill, service
from support.clients import CLIENTS
from support.failures import raised, texts
from support.samples import FILE, KEY, QUICK
from support.servers import abort, http_response

from openrouter_async import AsyncOpenRouter, Hooks, OpenRouter, RetryConfig, errors
from openrouter_async._core.call import Settings
from openrouter_async.emulator import Fault, run_emulator
from openrouter_async.transfers import walk

PART = "not-to-be-seen"
HOOKS = [field.name for field in attrs.fields(Hooks)]

ODD = {
    "CR": "\r",
    "LF": "\n",
    "CR LF": "\r\nX-Injected: 1\r\n",
    "NUL": "\0",
    "a tab": "\t",
    "a space": " ",
    "a no-break space": "\xa0",
    "an en dash": "\u2013",
    "an escape": "\x1b[2J",
    "DEL": "\x7f",
    "C1": "\x85",
    "a line separator": "\u2028",
    "a zero-width space": "\u200b",
    "a quote": "\u201d",
    "a lone surrogate": "\ud800",
}
"""What may come into a key when it is copied, and no header can carry."""


def odd_key(name):
    return f"sk-or-v1-{PART}{ODD[name]}{PART}"


def reports(error):
    """All that a logger, a debugger or a crash reporter could print of an error."""
    return "\n".join([*texts(error), pretty_repr(error)])


def rich_report(error):
    """What rich's tracebacks with local variables print, which look into what they show."""
    whole = {"locals_max_length": None, "locals_max_string": None}
    first = error.__traceback__ and error.__traceback__.tb_next  # the test's own is left out
    trace = Traceback.extract(type(error), error, first, show_locals=True, **whole)
    frames = [frame for stack in trace.stacks for frame in stack.frames]
    return "\n".join(
        f"{frame.name}: {name} = {value.render()}"
        for frame in frames
        for name, value in (frame.locals or {}).items()
    )


def silent(error, *, thorough=False):
    """Let no report of an error show the key."""
    lines = (reports(error) + (rich_report(error) if thorough else "")).splitlines()
    assert [line[:500] for line in lines if PART in line] == []


@pytest.fixture
def log(caplog):
    """Checks what all libraries have logged, at every level."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        if not name.startswith("faker"):
            caplog.set_level(logging.DEBUG, logger=name)

    def check():
        logged = [caplog.text, *(str(vars(record)) for record in caplog.records)]
        assert PART not in "\n".join(logged)
        return caplog.text

    return check


class Watch:
    """Hooks that keep what they hear."""

    def __init__(self):
        self.events = []
        self.hooks = Hooks(**dict.fromkeys(HOOKS, self.events.append))

    def text(self):
        """All that they could tell of it."""
        parts, failures = [], {}
        for event in self.events:
            fields = {field.name: getattr(event, field.name) for field in attrs.fields(type(event))}
            parts += [repr(event), str(event), repr(fields), pretty_repr(event)]
            failures[id(fields.get("error"))] = fields.get("error")
        parts += [reports(error) for error in failures.values() if isinstance(error, Exception)]
        return "\n".join(parts)


# Keys that cannot be sent


def give(key):
    """The ways to pass a key, except by the environment."""

    async def later():
        return key

    return {"as it is": key, "by a function": lambda: key, "by a coroutine function": later}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_key_is_refused_unseen_whatever_is_called(
    make_client, raw_server, tmp_path, monkeypatch, log, name
):
    """By every operation, however it is passed: nothing is sent, and nothing shows it."""
    server = await raw_server(service)
    ways = give(odd_key(name))
    client_class = AsyncOpenRouter if make_client is AsyncOpenRouter else OpenRouter
    with pytest.raises(errors.InvalidRequestError) as caught:
        client_class(ways.pop("as it is"), server_url=server.url)
    silent(caught.value, thorough=True)
    if name not in {"NUL", "a lone surrogate"}:
        monkeypatch.setenv("OPENROUTER_API_KEY", odd_key(name))
        ways["by the environment"] = None
    watch = Watch()
    calls = CALLS if name == "CR LF" else [call for call in CALLS if call.name == "upload"]
    for source in ways.values():
        options = {"server_url": server.url, "hooks": watch.hooks, "retries": QUICK}
        async with make_client(source, **options) as client:
            for call in calls:
                refill(tmp_path)
                _, failures = await outcome_of(call, client, **call.arguments(tmp_path))
                (failure,) = failures
                assert isinstance(failure, errors.InvalidRequestError)
                silent(failure)
    assert server.connections == 0
    assert PART not in watch.text()
    log()


# Calls that fail


async def _reset(request, _):
    abort(request)


def _responses(*args):
    async def handler(*_):
        return http_response(*args)

    return handler


FAILURES = {
    "reset": _reset,
    "500": _responses(500, {"error": {"code": 500, "message": "no"}}),
    "nonsense": _responses(200, b"<html>"),
}


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_no_failure_of_any_operation_shows_the_key(
    make_client, raw_server, tmp_path, log, call
):
    """Not in words, pickles, local variables of any frame, hooks, or any library's log."""
    retries = RetryConfig(max_attempts=2, initial_interval=0.001, max_interval=0.002)
    for kind, handler in FAILURES.items():
        server = await raw_server(handler)
        watch = Watch()
        refill(tmp_path)
        options = {"server_url": server.url, "hooks": watch.hooks, "retries": retries}
        async with make_client(KEY, **options) as client:
            result, failures = await outcome_of(call, client, **call.arguments(tmp_path))
        assert failures or (kind == "nonsense" and call.name.startswith("download"))
        for error in failures:
            silent(error)
        assert PART not in watch.text() + repr(result)
        assert {type(event).__name__ for event in watch.events} >= {"RequestEvent", "DoneEvent"}
        assert server.requests[0].headers("authorization") == [f"Bearer {KEY}"]
    assert "attempt" in log()


async def test_no_failure_shows_what_a_client_adds_to_every_request(make_client, raw_server, log):
    """Its headers may hold a key of another service on the way, or one in place of ours."""
    watch = Watch()
    headers = {"x-gateway-key": KEY, "authorization": f"Bearer {KEY}"}
    for handler in FAILURES.values():
        server = await raw_server(handler)
        options = {"server_url": server.url, "hooks": watch.hooks, "retries": RetryConfig.none()}
        async with make_client("sk-ours", default_headers=headers, **options) as client:
            error = await raised(errors.OpenRouterError, client.files.retrieve, "x")
            other = client.with_options(http_headers={"x-more": KEY})
            again = await raised(errors.OpenRouterError, other.files.upload, b"x", filename="x")
        assert server.requests[0].headers("x-gateway-key") == [KEY]
        silent(error, thorough=True)
        silent(again, thorough=True)
        for thing in (client, other, client.transport, client.transport.settings):
            assert PART not in repr(thing) + pretty_repr(thing)
    assert PART not in watch.text()
    log()


class Broken(httpx.AsyncBaseTransport):
    """A transport of the caller's with a defect."""

    async def handle_async_request(self, request):
        headers = request.headers  # noqa: F841 - as any transport has them at hand
        raise ValueError(len(request.headers))


OWN = {
    "transport": lambda: httpx.AsyncHTTPTransport(verify=False),
    "client": lambda: httpx.AsyncClient(verify=False, trust_env=False),
    "defect": Broken,
}


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("failure", FAILURES)
async def test_no_transport_of_the_callers_shows_the_key(raw_server, log, own, failure):
    """Whose library tells of every step in its log, and has the headers in its frames."""
    server = await raw_server(FAILURES[failure])
    options = {"server_url": server.url, "retries": RetryConfig.none()}
    async with OWN[own]() as transport:
        client = AsyncOpenRouter(KEY, http_transport=transport, **options)
        for call in (
            lambda: client.files.retrieve("x"),
            lambda: client.files.upload(b"words", filename="a.txt"),
        ):
            with pytest.raises((errors.OpenRouterError, ValueError)) as caught:
                await call()
            silent(caught.value, thorough=True)
        await client.aclose()
    assert own == "defect" or "send_request_headers" in log()
    log()


class DefectError(Exception):
    """What a caller's own code raises."""


async def _raise_later(*_):
    raise DefectError


def _raise(*_):
    raise DefectError


class Source:
    """An iterable that gives nothing."""

    def __iter__(self):
        raise DefectError
        yield b""


DEFECTS = {
    **{name: {"hooks": Hooks(**{name: _raise_later})} for name in HOOKS},
    "a plain hook": {"hooks": Hooks(on_request=_raise)},
    "progress": {"progress": _raise},
    "key": {"api_key": _raise},
    "source": {"file": Source()},
}


@pytest.mark.parametrize("where", DEFECTS)
async def test_no_defect_of_the_callers_shows_the_key(make_client, raw_server, where):
    """In a hook, plain or async, or in whatever else is called on the way."""
    server = await raw_server(_responses(500) if where == "on_retry" else service)
    options = {"api_key": KEY, "file": b"words", "progress": None, "hooks": None} | DEFECTS[where]
    file, progress = options.pop("file"), options.pop("progress")
    with pytest.raises((DefectError, errors.UploadSourceError)) as caught:
        await _use(make_client(server_url=server.url, retries=QUICK, **options), file, progress)
    silent(caught.value.with_traceback(caught.tb.tb_next), thorough=True)


async def _use(client, file, progress):
    async with client:
        if progress is None and isinstance(file, bytes):
            await client.files.retrieve("x")
        await client.files.upload(file, filename="a.txt", progress=progress)


async def test_no_debug_mode_shows_the_key(make_client, raw_server, tmp_path, monkeypatch, log):
    """Asyncio's own tells of every callback, and with what arguments it is called."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    running = asyncio.get_running_loop()
    running.set_debug(True)
    monkeypatch.setattr(running, "slow_callback_duration", 0)
    original = asyncio.base_events.BaseEventLoop.__init__

    def tell_all(loop):
        original(loop)
        loop.slow_callback_duration = 0

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "__init__", tell_all)
    try:
        server = await raw_server(service)
        async with make_client(KEY, server_url=server.url) as client:
            for call in CALLS:
                refill(tmp_path)
                await outcome_of(call, client, **call.arguments(tmp_path))
    finally:
        running.set_debug(False)
    assert "took" in log()


# Every error


def once(*args, **options):
    """A way to fail: a service that answers so, and what is called."""
    call = options.pop("call", lambda client: client.files.retrieve("x", **options))
    return _responses(*args), call


def upload(client, **options):
    return client.files.upload(b"words", filename="a.txt", **options)


async def _stall(request, _):
    await request.reader.read()


async def _no_tls(client):
    async def babble(_, writer):
        writer.write(b"HTTP/1.1 400 No TLS here\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await client.files.retrieve("x", server_url=url)


async def _after_the_end(client):
    await client.aclose()
    await client.files.retrieve("x")


async def _all(listing):
    async with aclosing(aiter(listing)) as rows:
        return [row async for row in rows]


REPEATED = {"data": [FILE], "has_more": True, "cursor": "c"}
WAYS = {
    **{cls: once(status) for status, cls in errors.BY_STATUS.items()},
    errors.OpenRouterDefaultError: once(418),
    errors.ResponseValidationError: once(200, b"<html>"),
    errors.ConnectionFailedError: (_reset, lambda client: client.files.retrieve("x")),
    errors.RequestTimeoutError: (_stall, lambda client: client.files.retrieve("x", timeout=0.05)),
    errors.TLSError: (_reset, _no_tls),
    errors.OutcomeUnknownError: (
        _reset,
        lambda client: client.workspaces.create(name="Trials", slug="trials"),
    ),
    errors.UploadOutcomeUnknown: (_reset, upload),
    errors.IntegrityError: once(200, FILE, call=upload),
    errors.PaginationError: once(200, REPEATED, call=lambda client: _all(client.files.list())),
    errors.InvalidRequestError: once(200, FILE, call=lambda client: client.files.retrieve("..")),
    errors.UploadSourceError: once(200, FILE, call=lambda client: client.files.upload("missing")),
    errors.PreflightError: once(
        200, FILE, call=lambda client: _all(client.files.upload_many(["missing"], check=True))
    ),
    errors.JournalError: once(
        200,
        FILE,
        call=lambda client: _all(client.files.upload_many([], journal="/dev/null")),
    ),
    errors.TransferStoppedError: once(
        401,
        {"error": {"code": 401, "message": "no"}},
        call=lambda client: _all(client.files.delete_many(["x"])),
    ),
    errors.DownloadTargetError: once(
        200, FILE, call=lambda client: client.files.download_to("x", "/dev/null")
    ),
    errors.ClientClosedError: once(200, FILE, call=_after_the_end),
}
"""How each error comes about."""

BRANCHES = {errors.OpenRouterError, errors.NoAnswerError, errors.ResponseError}
"""Base classes, which are never raised."""


def test_every_error_has_a_way_to_come_about():
    """A new one is to be tried too; the one that says that there is no key has none to show."""
    known = {getattr(errors, name) for name in errors.__all__}
    assert known == WAYS.keys() | BRANCHES | {errors.MissingAPIKeyError}


@pytest.mark.parametrize("kind", WAYS, ids=lambda kind: kind.__name__)
async def test_no_error_shows_the_key(make_client, raw_server, log, kind):
    """As it is raised, with all that its frames hold, and after it was sent to another process."""
    handler, call = WAYS[kind]
    server = await raw_server(handler)
    watch = Watch()
    options = {"server_url": server.url, "hooks": watch.hooks, "retries": RetryConfig.none()}
    async with make_client(KEY, **options) as client:
        with pytest.raises(errors.OpenRouterError) as caught:
            await call(client)
    assert type(caught.value) is kind
    silent(caught.value, thorough=True)
    silent(pickle.loads(pickle.dumps(caught.value)))
    assert PART not in watch.text()
    log()


# Every public object


def public_classes():
    """All classes that users can name, but for those that have no instances."""
    found = set()
    for module in map(import_module, reference.MODULES):
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if inspect.isclass(thing) and not (is_typeddict(thing) or is_protocol(thing)):
                found.add(thing)
    return found


def is_protocol(cls):
    return getattr(cls, "_is_protocol", False)


async def test_no_repr_of_a_public_object_shows_the_key(raw_server, tmp_path):
    """Of none that calls on both clients make, hand out or tell of; found by looking at all of them."""
    server = await raw_server(service)
    busy = await raw_server(_responses(503))
    watch = Watch()
    kept = [Fault(status=500)]
    options = {"server_url": server.url, "hooks": watch.hooks, "retries": QUICK}
    with run_emulator(api_key=KEY, management_key=KEY, admin_token=KEY) as emulator:
        kept.append(emulator)
        for client_class in CLIENTS:
            client = client_class(KEY, **options)
            kept += [client, getattr(client, "sync", client), client.with_options(timeout=5)]
            for call in CALLS:
                refill(tmp_path)
                kept.append(await outcome_of(call, client, **call.arguments(tmp_path)))
            refill(tmp_path)
            more = {"progress": kept.append}
            kept += await _all(client.files.upload_many(walk(tmp_path / "tree"), **more))
            kept.append(await outcome_of(RETRIEVE, client, file_id="x", server_url=busy.url))
            plain = getattr(client, "sync", client)
            kept += [plain.files.list(), plain.files.download("x"), plain.files.upload]
            kept.append(plain.transport)
            kept += [client.transport.connections.pool_stats(), client.transport.settings]
            await client.aclose()
        seen = set()
        for thing in gc.get_objects():
            if kinds := PUBLIC & set(type(thing).__mro__):
                seen |= kinds
                _look_at(thing)
        for thing in kept:
            _look_at(thing)
    unseen = {cls for cls in PUBLIC - seen if not issubclass(cls, errors.OpenRouterError)}
    assert unseen == set()


def _look_at(thing):
    for text in (repr(thing), str(thing), f"{thing}", pprint.pformat(thing), pretty_repr(thing)):
        assert PART not in text, type(thing)
    if isinstance(thing, Settings):
        assert PART not in repr(attrs.asdict(thing))


PUBLIC = public_classes()
RETRIEVE = next(call for call in CALLS if call.name == "retrieve")


@pytest.mark.parametrize("client_class", [AsyncOpenRouter, OpenRouter], ids=["async", "sync"])
def test_nothing_that_holds_the_key_can_be_sent_away(client_class):
    """Neither pickled nor copied into another process by what takes clients for values."""
    client = client_class(KEY)
    for thing in (client, client.files, client.transport, client.transport.settings):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(thing)
        with pytest.raises((TypeError, AttributeError)):
            json.dumps(thing)


# What is written down


async def test_no_file_holds_the_key(make_client, emulator, tmp_path):
    """Neither a journal, whatever it notes, nor what was downloaded."""
    emulator.add_key(KEY)
    made = emulator.create_file("made.txt", b"made")
    refill(tmp_path)
    async with make_client(KEY, server_url=emulator.base_url, retries=QUICK) as client:
        emulator.faults({"operation": "upload_file", "close": "before_headers", "times": 6})
        sources = [*walk(tmp_path / "tree"), ("b.txt", b"words"), ("c.txt", b"")]
        outcomes = client.files.upload_many(sources, journal=tmp_path / "run.jsonl")
        await _all(outcomes)
        await client.files.download_to(made["id"], directory=tmp_path / "down")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"run.jsonl", "made.txt"} <= {path.name for path in files}
    assert (tmp_path / "run.jsonl").stat().st_size > 100
    for path in files:
        assert PART.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "proxy",
    [
        "ftp://user:pa55@127.0.0.1:9",
        "http://user:pa55@[",
        "socks5h://user:pa55@127.0.0.1:9",
        "http://user:pa55@127.0.0.1:9",
        "https://user:pa55@127.0.0.1:9",
    ],
)
async def test_no_password_of_a_proxy_is_shown(make_client, monkeypatch, proxy):
    """Which the environment holds, and no message needs."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    options = {"server_url": "https://openrouter.example/api/v1", "retries": RetryConfig.none()}
    async with make_client(KEY, **options) as client:
        error = await raised(errors.OpenRouterError, client.files.retrieve, "x")
    silent(error, thorough=True)
    assert "pa55" not in reports(error) + rich_report(error)
