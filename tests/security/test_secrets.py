"""The secret of a new key is shown by ``reveal()`` alone, whatever call returns it."""

import logging

import pytest
from support.calls import CALLS, outcome_of, refill, service
from support.failures import texts
from support.samples import KEY, QUICK, SECRET
from support.surface import OPERATIONS

from openrouter_async import Hooks

BESIDE = {
    "containers": {"list_files", "retrieve_file", "download_file", "promote_file"},
    "keys": {"list", "create", "get", "update", "delete", "current"},
    "organization": {"list_members"},
}


def test_the_guards_of_all_operations_see_those_on_keys_containers_and_members():
    """They look for operations in the modules and the clients; none is listed by hand."""
    found = {(call.namespace, call.name) for call in CALLS}
    assert found >= {(space, name) for space, names in BESIDE.items() for name in names}
    secrets = [name for name, operation in OPERATIONS.items() if operation.returns_secret]
    assert secrets == ["create_key"]


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_no_call_shows_the_secret_that_it_returns(
    make_client, raw_server, tmp_path, caplog, call
):
    """Neither to hooks nor in logs, reprs and dicts, nor where a hook of the caller fails."""
    caplog.set_level(logging.DEBUG)
    refill(tmp_path)
    server = await raw_server(service)
    seen = []

    def fail(event):
        seen.append(event)
        raise LookupError

    names = ("on_call", "on_request", "on_response", "on_result", "on_retry", "on_done")
    hooks = Hooks(**dict.fromkeys(names, seen.append))
    options = {"server_url": server.url, "retries": QUICK}
    async with make_client(KEY, hooks=hooks, **options) as client:
        result, failures = await outcome_of(call, client, **call.arguments(tmp_path))
    assert not failures
    shown = [seen, result, caplog.text, [vars(record) for record in caplog.records]]
    shown += [result.to_dict()] if hasattr(result, "to_dict") else []
    assert SECRET not in repr(shown)
    for name in ("on_result", "on_done"):
        refill(tmp_path)
        async with make_client(KEY, hooks=Hooks(**{name: fail}), **options) as client:
            with pytest.raises(LookupError) as caught:
                await outcome_of(call, client, **call.arguments(tmp_path))
        assert SECRET not in "\n".join(texts(caught.value))
