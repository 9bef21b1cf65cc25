"""The vendor's clients are served by the emulator, and our requests equal theirs."""

import pytest

from openrouter_async.namespaces import NAMESPACES

from .callers import our_call
from .compare import MEANT, differences, meant
from .conftest import OURS, REQUIRED, VENDORS
from .steps import STEPS

if not REQUIRED:
    pytest.importorskip("openrouter", reason="the vendor's Python client is not installed")

steps = pytest.mark.parametrize("step", STEPS, ids=str)


@steps
@pytest.mark.parametrize("client", [*VENDORS, *OURS])
def test_each_client_is_served(run, client, step):
    """It makes the call, its own models accept the response, and it reads the right things."""
    assert run(client)[str(step)].problem is None


@steps
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("ours_name", OURS)
def test_our_requests_equal_the_vendors(run, ours_name, vendor, step):
    """In all that is sent, but for the exceptions that have a name and a reason."""
    ours, theirs = run(ours_name)[str(step)].requests, run(vendor)[str(step)].requests
    assert theirs
    found = [each for each in differences(ours, theirs) if meant(vendor, step, each) is None]
    assert not found, "\n".join(map(str, found))


@steps
def test_both_our_clients_send_the_same(run, step):
    """To the byte, but for the boundary."""
    assert not differences(run("async")[str(step)].requests, run("sync")[str(step)].requests)


def test_every_exception_is_needed(run):
    """One that no difference falls under is none."""
    met = {
        meant(vendor, step, difference)
        for vendor in VENDORS
        for step in STEPS
        for difference in differences(
            run("async")[str(step)].requests, run(vendor)[str(step)].requests
        )
    }
    assert [each.name for each in MEANT if each not in met] == []


def test_every_operation_is_driven():
    """All that our namespaces offer, but for what is made of other operations."""
    offered = {
        f"{namespace}.{name}" for namespace in NAMESPACES for name in vars(NAMESPACES[namespace])
    }
    driven = {our_call(step.call) for step in STEPS}
    composed = {name.rpartition(".")[2] for name in offered - driven if "._" not in name}
    assert driven <= offered
    assert composed == {
        "apply",
        "delete_many",
        "download_file_to",
        "download_many",
        "download_to",
        "export",
        "plan",
        "remove_members",
        "set_budgets",
        "sync",
        "teardown",
        "upload_many",
        "upload_tree",
    }
