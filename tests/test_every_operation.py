"""Guards over every operation and every method of the clients, and proof that they see new ones."""

import inspect

import pytest
from support import guards
from support.calls import CALLS, Call, service
from support.handlers import respond_with
from support.hostile import check_strings
from support.samples import KEY, QUICK
from support.servers import http_response
from support.surface import METHODS, OPERATIONS, SYNC_METHODS, methods_of

from openrouter_async import AsyncOpenRouter, AsyncTransport, Operation, namespaces, transfers
from openrouter_async._sync.facade import Namespace, method


def operation_functions():
    """All public functions over a transport."""
    return {
        function
        for module in [*guards.OPERATION_MODULES, transfers]
        for name in getattr(module, "__all__", ())
        if inspect.isfunction(function := getattr(module, name))
        and "transport" in inspect.signature(function).parameters
    }


def test_both_clients_offer_every_operation_function():
    """And nothing else."""
    for methods in (METHODS, SYNC_METHODS):
        assert {method.function for method in methods} == operation_functions()
        assert len(methods) == len(operation_functions())


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_public(name):
    """Its constant is in the `__all__` of its module."""
    assert any(
        name.upper() in getattr(module, "__all__", ()) for module in guards.OPERATION_MODULES
    )


@pytest.mark.parametrize(
    "check", [guards.check_public, guards.check_described], ids=["public", "described"]
)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_is_a_public_function_over_described_operations(method, check):
    """An operation is a constant, where all guards find it."""
    check(method)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_is_documented_with_an_example(method):
    """In the reference."""
    guards.check_documented(method)


async def test_the_methods_send_every_operation(make_client, raw_server, tmp_path):
    """No description without a function that uses it."""
    server = await raw_server(service)
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        sent = [await guards.check_sent(call, client, server, tmp_path) for call in CALLS]
    assert set().union(*sent) == OPERATIONS.keys()


async def test_the_emulator_runs_every_operation(client, emulator, tmp_path):
    """Each method succeeds there."""
    ran = [await guards.check_emulated(call, client, emulator, tmp_path) for call in CALLS]
    assert set().union(*ran) == OPERATIONS.keys()


# A made-up namespace, as it might be added without care


async def get_extra(transport: AsyncTransport, name: str) -> dict:
    return await transport.call(Operation("GET", f"/extra/{name}", dict))


class Extra(Namespace):
    get = method(get_extra)


@pytest.fixture
def extra(monkeypatch):
    """The call of the only method of ``client.extra``, which is there while this is used."""
    monkeypatch.setitem(namespaces.NAMESPACES, "extra", Extra)
    found = set(methods_of(AsyncOpenRouter(KEY))) - set(METHODS)
    [added] = found
    return Call(added.namespace, added.name, added.function)


@pytest.mark.parametrize(
    "check",
    [guards.check_public, guards.check_described, guards.check_documented],
    ids=["public", "described", "documented"],
)
def test_a_careless_method_fails_the_guards_of_its_function(extra, check):
    """It is found without being listed anywhere."""
    assert str(extra) == "extra.get"
    with pytest.raises(AssertionError):
        check(extra)


async def test_a_careless_method_fails_the_guards_of_its_requests(
    extra, make_client, raw_server, tmp_path
):
    """It sends what no operation describes, and its parameter is not quoted."""
    server = await raw_server(respond_with(http_response(200, {})))
    async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
        with pytest.raises(AssertionError):
            await guards.check_sent(extra, client, server, tmp_path)
        with pytest.raises(AssertionError):
            await check_strings(extra, client, server, tmp_path, thorough=True)


async def test_a_careless_method_fails_the_guard_of_the_emulator(
    extra, make_client, emulator, tmp_path
):
    """There is no handler for it."""
    async with make_client(emulator.management_key, server_url=emulator.base_url) as client:
        with pytest.raises(AssertionError):
            await guards.check_emulated(extra, client, emulator, tmp_path)


def test_a_parameter_without_a_sample_fails_whatever_calls_the_method(extra, tmp_path):
    """So that it is not passed over."""

    async def get_thing(transport: AsyncTransport, thing_id: str) -> dict: ...

    with pytest.raises(AssertionError, match="no sample for \\['thing_id'\\]"):
        Call("extra", "get_thing", get_thing).arguments(tmp_path)
