"""Lost uploads of a run: which files at the service they have become."""

import time
import unicodedata
from datetime import timedelta

import pytest

from openrouter_async import AsyncOpenRouter, errors
from openrouter_async._core.error_response import error_from_response
from openrouter_async.transfers.lost_uploads import LostUploads, is_slow, may_be_stored
from openrouter_async.transfers.upload_items import UploadItem

SCOPE = {"workspace_id": None, "provider": None}
URL = "https://service/files"


@pytest.fixture
async def transport(emulator):
    async with AsyncOpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        await client.files.list()
        yield client.transport


async def searched(transport, *items, known=()):
    lost = LostUploads(transport, SCOPE, lambda file_id: file_id in known)
    await lost.search((item.key, item.lost_since) for item in items)
    return lost


def lost_item(transport, filename="a.txt", size=5, age=0.0):
    since = transport.clock.time_at(time.monotonic())
    return UploadItem(None, filename=filename, size=size, lost_since=since - timedelta(seconds=age))


async def test_each_lost_upload_takes_a_file_of_its_own(transport, emulator):
    """And nobody else takes it afterwards, be it another run or a single upload."""
    stored = {emulator.create_file("a.txt", b"words")["id"] for _ in range(2)}
    items = [lost_item(transport) for _ in range(2)]
    lost, other_run = [await searched(transport, *items) for _ in range(2)]
    assert {lost.take(item).id for item in items} == stored
    assert lost.take(items[0]) is None
    assert other_run.take(items[0]) is None
    assert all(file_id in transport.uploads_seen for file_id in stored)


async def test_a_file_is_recognized_in_each_unicode_form(transport, emulator):
    """Services and file systems may differ in it."""
    emulator.create_file(unicodedata.normalize("NFC", "caf\xe9.txt"), b"words")
    item = lost_item(transport, unicodedata.normalize("NFD", "caf\xe9.txt"))
    lost = await searched(transport, item)
    assert lost.take(item) is not None


async def test_if_only_some_have_arrived_they_are_ambiguous(transport, emulator):
    """Nothing tells which of them are stored."""
    emulator.create_file("a.txt", b"words")
    items = [lost_item(transport) for _ in range(2)]
    lost = await searched(transport, *items)
    assert all(lost.is_ambiguous(item) for item in items)
    assert not lost.is_ambiguous(UploadItem(None, filename="a.txt", size=5))


async def test_known_files_are_not_candidates(transport, emulator):
    """A response or the journal has named them."""
    named, remembered = (emulator.create_file("a.txt", b"words")["id"] for _ in range(2))
    transport.uploads_seen.add(remembered)
    item = lost_item(transport)
    lost = await searched(transport, item, known={named})
    assert lost.take(item) is None
    assert not lost.is_ambiguous(item)


@pytest.mark.parametrize("difference", [{"filename": "b.txt"}, {"size": 6}, {"age": -3600}])
async def test_another_name_size_or_time_is_another_file(transport, emulator, difference):
    """Even if the other two are the same."""
    emulator.create_file("a.txt", b"words")
    item = lost_item(transport, **difference)
    assert (await searched(transport, item)).take(item) is None


def refusal(status, retry_after=None):
    headers = {"retry-after": retry_after} if retry_after else {}
    return error_from_response(status, headers, b"", method="POST", url=URL)


@pytest.mark.parametrize(
    ("error", "stored", "slow"),
    [
        (refusal(400), False, False),
        (refusal(429), False, False),
        (refusal(499), True, False),
        (refusal(500), True, False),
        (refusal(503), True, False),
        (refusal(503, "1"), False, False),
        (refusal(504), True, True),
        (errors.ConnectionFailedError("refused"), False, False),
        (errors.InvalidRequestError("wrong"), False, False),
    ],
    ids=str,
)
def test_an_error_tells_whether_the_file_may_be_stored(error, stored, slow):
    """And whether the service is so slow that it may be stored later."""
    assert may_be_stored(error) is stored
    assert is_slow(error) is slow
