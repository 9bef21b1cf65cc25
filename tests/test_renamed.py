"""The old names of what was renamed work for one more release."""

import pytest

import openrouter_async
from openrouter_async import AsyncOpenRouter, Operation, Repeat, ResponseEvent

RENAMED = {
    "BlockingDownload": "SyncDownload",
    "BlockingPager": "SyncPager",
    "Occupancy": "PoolStats",
}


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_the_new_one_with_a_warning(old, new):
    """Which names the new one; the old name is not exported any more."""
    with pytest.warns(DeprecationWarning, match=new) as warned:
        assert getattr(openrouter_async, old) is getattr(openrouter_async, new)
    assert warned[0].filename == __file__
    assert old not in openrouter_async.__all__


def test_an_old_name_can_be_imported_from_the_package():
    """The usual way."""
    with pytest.warns(DeprecationWarning, match="PoolStats") as warned:
        from openrouter_async import Occupancy
    assert Occupancy is openrouter_async.PoolStats
    assert {w.filename for w in warned} == {__file__}


def test_old_members_of_repeat_are_the_new_ones():
    """As enumerations have aliases."""
    assert Repeat.CAUTIOUS is Repeat.RETRY_ONCE
    assert Repeat.AMBIGUOUS is Repeat.NON_IDEMPOTENT
    assert "CAUTIOUS" not in [repeat.name for repeat in Repeat]


def test_an_operation_takes_its_old_argument_and_has_its_old_method():
    """``transfer`` is ``streams_content``, ``fill`` is ``expand``."""
    operation = Operation("POST", "/files/{id}", dict, transfer=True)
    assert operation.streams_content
    assert operation.fill({"id": "a/b"}) == operation.expand({"id": "a/b"}) == "/files/a%2Fb"


def test_a_response_event_has_its_old_attribute():
    """``waited`` is ``queue_time``."""
    event = ResponseEvent(
        method="GET", url="", attempt=1, status_code=200, elapsed=2.0, queue_time=1.0
    )
    assert event.waited == event.queue_time == 1.0


def test_connections_have_their_old_method():
    """``occupancy`` is ``pool_stats``."""
    connections = AsyncOpenRouter("sk-or-v1-x").transport.connections
    assert connections.occupancy() == connections.pool_stats()
