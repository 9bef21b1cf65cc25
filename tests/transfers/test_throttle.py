"""The pace of a bulk run: slots, pauses, the adaptive limit, and the retry budget.

Most of it runs on a loop whose clock jumps from timer to timer, so that seconds cost nothing and
every moment is exact.
"""

import asyncio
import itertools
import math
import random
from collections import Counter
from contextvars import Context
from functools import partial

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import FILE
from support.servers import http_response

from openrouter_async import (
    AsyncOpenRouter,
    Hooks,
    RetryConfig,
    errors,
)
from openrouter_async._core.error_response import error_from_response
from openrouter_async.emulator import Fault
from openrouter_async.operations.files import upload_file
from openrouter_async.transfers.throttle import AdaptiveLimit, RetryBudget, Throttle

SMALL, LARGE = 4_096, 104_857_600
URL = "https://service/files"


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self):
        super().__init__()
        self._moment = 1000.0
        self._really_select = self._selector.select
        self._selector.select = self._jump

    def _jump(self, timeout):
        assert timeout is not None, "all tasks wait, and nothing is scheduled"
        if timeout:
            self._moment += max(timeout, 1e-6)  # less might be lost in rounding
        return self._really_select(0)

    def time(self):
        return self._moment


def run(main):
    """Run a coroutine on a loop that jumps."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)


def now():
    return asyncio.get_running_loop().time()


def refusal(status, retry_after=None):
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return error_from_response(status, headers, b"", method="POST", url=URL)


class Service:
    """Requests as the transport makes them, to a service with given response times."""

    def __init__(self, throttle):
        self.throttle = throttle
        self.sent = []

    async def attempt(self, status=200, *, took=0.01, method="POST"):
        """One request and its response."""
        await self.throttle.before_attempt()
        self.sent.append(now())
        await asyncio.sleep(took)
        self.throttle.note_response(method, status)

    async def retry(self, error, *, wait=0.0):
        """What the transport does before it retries a request."""
        await self.throttle.before_retry(error)
        await asyncio.sleep(wait)


async def many(count, work, *args, **kwargs):
    """Run ``count`` of it at once."""
    await asyncio.gather(*(work(*args, **kwargs) for _ in range(count)))


async def process(throttle, service, responses, size=SMALL):
    """Process an item as a worker does; each response is a status and the time it takes."""
    async with throttle.slot(lambda: size):
        for status, took in responses:
            await service.attempt(status, took=took)


# Slots


def test_at_most_limit_items_run_at_once():
    """And those that wait start in order of arrival."""

    async def main():
        throttle, under_way, most, order = Throttle(3), 0, 0, []

        async def item(number):
            nonlocal under_way, most
            async with throttle.slot():
                order.append(number)
                under_way += 1
                most = max(most, under_way)
                await asyncio.sleep(number % 4 + 1)
                under_way -= 1

        await asyncio.gather(*(item(number) for number in range(30)))
        assert most == 3
        assert order == list(range(30))

    run(main())


def test_a_free_slot_is_taken_without_a_turn_of_the_event_loop():
    """An item that need not wait starts at once."""

    async def main():
        with pytest.raises(StopIteration):
            Throttle(1).slot().__aenter__().send(None)

    run(main())


@pytest.mark.parametrize("limit_changes", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_cancelled_items_lose_no_slot(seed, limit_changes):
    """Whether they wait, are just getting their slot, or run; also while the limit changes."""
    dice = random.Random(seed)

    async def main():
        throttle, under_way, most = Throttle(4), 0, 0

        async def item():
            nonlocal under_way, most
            async with throttle.slot():
                under_way += 1
                most = max(most, under_way)
                try:
                    await asyncio.sleep(dice.randint(0, 2))
                finally:
                    under_way -= 1

        tasks = [asyncio.create_task(item()) for _ in range(200)]
        spared = set(dice.sample(tasks, 60))
        for task in dice.sample(tasks, len(tasks)):
            # Whole seconds, and single turns of the loop: many things happen at once.
            await asyncio.sleep(dice.choice([0, 0, 0, 1]))
            if limit_changes and dice.random() < 0.2:
                throttle._limit.value = dice.uniform(1, 4)
                throttle._limiter.wake_waiters()
            if task not in spared:
                task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(ends[tasks.index(task)] is None for task in spared)
        assert any(isinstance(end, asyncio.CancelledError) for end in ends)
        assert most == 4
        assert throttle._limiter.borrowed == 0
        await asyncio.wait_for(many(8, item), 100)
        assert not throttle._limiter._waiters

    run(main())


def test_a_slot_handed_to_a_cancelled_item_goes_to_the_next():
    """Both happen in the same turn of the event loop."""

    async def main():
        throttle, entered = Throttle(1), []

        async def item(number):
            async with throttle.slot():
                entered.append(number)

        holder = throttle.slot()
        await holder.__aenter__()
        tasks = [asyncio.create_task(item(number)) for number in range(3)]
        await asyncio.sleep(0)
        await holder.__aexit__(None, None, None)
        tasks[0].cancel()
        await asyncio.wait(tasks)
        assert entered == [1, 2]
        assert throttle._limiter.borrowed == 0

    run(main())


def test_no_item_starts_before_fewer_than_a_lowered_limit_run():
    """Items that run already are left alone."""

    async def main():
        throttle, entered = Throttle(8), []
        service = Service(throttle)

        async def item(number):
            async with throttle.slot():
                entered.append((number, now() - start))
                await service.attempt(429 if number == 0 else 404, took=number + 1)

        start = now()
        await asyncio.gather(*(item(number) for number in range(11)))
        # After the throttle at 1 there are 4 slots; 7 are taken, until the items of 2 s, 3 s, ...
        assert entered == [(n, 0) for n in range(8)] + [(8, 5), (9, 6), (10, 7)]

    run(main())


def test_an_item_that_waits_for_its_retry_gives_its_slot_to_others():
    """The limit counts what is sent, not what waits."""

    async def main():
        throttle, events = Throttle(1), []
        service = Service(throttle)

        async def first():
            async with throttle.slot():
                await service.attempt(500)
                await service.retry(refusal(500), wait=5)
                await service.attempt()
                events.append(("first", round(now() - start)))

        async def second():
            async with throttle.slot():
                await service.attempt(took=8)
                events.append(("second", round(now() - start)))

        start = now()
        await asyncio.gather(first(), second())
        assert events == [("second", 8), ("first", 8)]
        assert throttle._limiter.borrowed == 0

    run(main())


def test_a_cancelled_retry_does_not_release_its_slot_twice():
    """While it waits without its slot, and while it waits for one again."""

    async def main():
        throttle = Throttle(1)
        service = Service(throttle)

        async def failing():
            async with throttle.slot():
                await service.attempt(500)
                await service.retry(refusal(500), wait=1)
                await service.attempt()

        for moment in (0.5, 3):
            task = asyncio.create_task(failing())
            await asyncio.sleep(0.1)
            async with throttle.slot():
                await asyncio.sleep(moment)
                task.cancel()
                await asyncio.wait([task])
                assert throttle._limiter.borrowed == 1
            assert throttle._limiter.borrowed == 0

    run(main())


# The limit


def test_many_throttles_in_the_same_moment_halve_the_limit_once():
    """All of these requests were sent before the first throttle; a later one halves it again."""

    async def main():
        throttle = Throttle(16)
        service = Service(throttle)
        await many(16, process, throttle, service, [(429, 1)])
        assert throttle.limit == 8
        await many(8, process, throttle, service, [(503, 1)])
        assert throttle.limit == 4
        for _ in range(5):
            await process(throttle, service, [(429, 1)])
        assert throttle.limit == 1

    run(main())


def test_a_throttle_ends_the_round_of_successes():
    """The count for the next increase starts again."""

    async def main():
        throttle = Throttle(8)
        service = Service(throttle)
        await process(throttle, service, [(200, 1)] * 7 + [(429, 1)] + [(200, 1)] * 3)
        assert throttle.limit == 4
        await process(throttle, service, [(200, 1)])
        assert throttle.limit == 5

    run(main())


def test_the_limit_grows_by_one_after_as_many_successes():
    """Up to the concurrency; responses to requests sent before the decrease do not count."""

    async def main():
        throttle = Throttle(8)
        service = Service(throttle)
        late = [(200, 5)]
        await asyncio.gather(
            process(throttle, service, [(429, 1)]), many(7, process, throttle, service, late)
        )
        limits = [throttle.limit]
        for _ in range(40):
            await process(throttle, service, [(200, 0.1)])
            limits.append(throttle.limit)
        steps = [(limit, len(list(group))) for limit, group in itertools.groupby(limits)]
        assert steps[:-1] == [(4, 4), (5, 5), (6, 6), (7, 7)]
        assert throttle.limit == 8

    run(main())


def test_waiting_items_start_when_the_limit_grows():
    """Not only when another one ends."""

    async def main():
        throttle = Throttle(2)
        service = Service(throttle)
        await process(throttle, service, [(429, 1)])
        assert throttle.limit == 1
        entered = asyncio.Event()

        async def second():
            async with throttle.slot():
                entered.set()

        async with throttle.slot():
            task = asyncio.create_task(second())
            await asyncio.sleep(1)
            assert not entered.is_set()
            await service.attempt()
            await asyncio.wait_for(entered.wait(), 1)
        await task

    run(main())


def test_small_and_large_files_together_leave_the_limit_alone():
    """A large file takes ten thousand times as long, and is not slow for its size."""
    dice = random.Random(7)

    async def main():
        throttle, lowest = Throttle(16), 16

        async def item(size):
            nonlocal lowest
            took = (0.005 + size / 2e6) * dice.uniform(0.7, 1.8)
            await process(throttle, service, [(200, took)], size)
            lowest = min(lowest, throttle.limit)

        service = Service(throttle)
        sizes = [dice.choice([SMALL, 50_000, 3_000_000, LARGE]) for _ in range(600)]
        await asyncio.gather(*(item(size) for size in sizes))
        # And in long runs of one kind, as a sorted directory has them.
        await asyncio.gather(*(item(size) for size in sorted(sizes)))
        await asyncio.gather(*(item(size) for size in sorted(sizes, reverse=True)))
        assert lowest == 16

    run(main())


def test_a_service_that_becomes_slow_lowers_the_limit():
    """While it is 20 times slower far fewer items run at once, at least one; then all again."""

    async def main():
        throttle, limits, factor = Throttle(16), [], 1
        service = Service(throttle)

        async def item(size):
            took = (0.1 + size / 2e7) * factor
            await process(throttle, service, [(200, took)], size)
            limits.append(throttle.limit)

        async def wave(count):
            limits.clear()
            await asyncio.gather(*(item(size) for size in [SMALL, 3_000_000] * count))

        await wave(40)
        assert set(limits) == {16}
        factor = 20
        await wave(100)
        assert 1 <= min(limits) < 8
        factor = 1
        await wave(120)
        assert limits[-1] == 16

    run(main())


def test_a_service_that_stays_slow_becomes_the_norm():
    """The limit recovers, as fewer items at once did not make it faster."""

    async def main():
        throttle = Throttle(16)
        service = Service(throttle)
        await many(64, process, throttle, service, [(200, 0.1)])
        await many(64, process, throttle, service, [(200, 2)])
        assert throttle.limit < 10
        await many(500, process, throttle, service, [(200, 2)])
        assert throttle.limit == 16

    run(main())


def test_quick_responses_are_never_slow():
    """Below a quarter of a second, whatever the factor to the fastest."""

    async def main():
        throttle = Throttle(16)
        service = Service(throttle)
        await many(64, process, throttle, service, [(200, 0.002)])
        await many(64, process, throttle, service, [(200, 0.2)])
        assert throttle.limit == 16

    run(main())


def test_without_adaptive_the_limit_never_changes():
    """Neither at throttles nor at slow responses; pauses apply nevertheless."""

    async def main():
        throttle = Throttle(16, adaptive=False)
        service = Service(throttle)
        await many(32, process, throttle, service, [(200, 0.1), (429, 0.1), (200, 9)])
        assert throttle.limit == 16
        throttle.note_failure(refusal(429, 7))
        start = now()
        await service.attempt(took=0)
        assert now() - start == pytest.approx(7)

    run(main())


@given(
    most=st.integers(1, 40),
    steps=st.lists(
        st.tuples(st.booleans(), st.floats(0, 90), st.integers(0, 3), st.integers(0, 27)),
        max_size=300,
    ),
)
def test_the_limit_is_always_between_1_and_the_concurrency(most, steps):
    """For any responses, after any time, to requests of any age."""
    limit = AdaptiveLimit(most, adaptive=True)
    for throttled, took, age, magnitude in steps:
        before, decreases = limit.value, limit.decreases
        if throttled:
            limit.throttled(decreases - age)
            assert limit.value == (max(1, before / 2) if age == 0 else before)
        else:
            limit.succeeded(("POST", magnitude), took, decreases - age)
            assert before * 0.8 <= limit.value <= before + 1
        assert 1 <= limit.value <= most


# Pauses


def test_a_retry_after_pauses_all_items_and_they_start_again_one_by_one():
    """Within a second, and hardly any two at the same moment."""

    async def main():
        throttle = Throttle(16, adaptive=False)
        service = Service(throttle)

        async def throttled():
            async with throttle.slot():
                await service.attempt(429, took=1)
                await service.retry(refusal(429, 10), wait=10)
                await service.attempt()

        start = now()
        await many(16, throttled)
        first, again = service.sent[:16], [sent - start for sent in service.sent[16:]]
        assert set(first) == {start}
        assert len(again) == 16
        assert again[0] >= 11
        assert again[-1] < 12
        assert sum(a < b for a, b in itertools.pairwise(again)) > 12
        service.sent.clear()
        await many(16, process, throttle, service, [(200, 1)])
        assert len(set(service.sent)) == 1, "the pause ended long ago"

    run(main())


def test_after_a_pause_half_of_the_items_start_as_the_limit_is_halved():
    """The others start as these get their responses."""

    async def main():
        throttle = Throttle(16)
        service = Service(throttle)

        async def throttled():
            async with throttle.slot():
                await service.attempt(429, took=1)
                await service.retry(refusal(429, 10), wait=10)
                await service.attempt(took=100)

        start = now()
        await many(16, throttled)
        again = [sent - start for sent in service.sent[16:]]
        assert sum(sent < 111 for sent in again) == 8
        assert len(again) == 16

    run(main())


def test_the_longest_of_several_pauses_counts():
    """A shorter one does not end it early; a longer one counts from its own start."""

    async def main():
        throttle = Throttle(4)
        service = Service(throttle)
        start = now()
        throttle.note_failure(refusal(429, 5))
        throttle.note_failure(refusal(503, 2))
        waiting = asyncio.create_task(service.attempt())
        await asyncio.sleep(4)
        throttle.note_failure(refusal(429, 6))
        await waiting
        assert service.sent == [pytest.approx(start + 10)]

    run(main())


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (refusal(429, 3), 3),
        (refusal(503, 0.5), 0.5),
        (refusal(429, 1e9), 60),
        (refusal(429), 0),
        (refusal(429, 0), 0),
        (refusal(429, "nonsense"), 0),
        (refusal(500, 30), 0),
        (refusal(403, 30), 0),
        (errors.ConnectionFailedError("broken"), 0),
        (errors.InvalidRequestError("wrong"), 0),
    ],
    ids=str,
)
def test_a_failure_that_asks_for_a_pause_pauses_all_items(error, seconds):
    """Whether it is raised or retried; for at most a minute."""

    async def main():
        for reported_by in ("note_failure", "retry"):
            throttle = Throttle(4)
            service = Service(throttle)
            start = now()
            if reported_by == "note_failure":
                throttle.note_failure(error)
            else:
                await service.retry(error)
            await many(2, service.attempt, took=0)
            first, second = service.sent
            assert first == pytest.approx(start + seconds)
            assert (second > first) == (seconds > 0)
            assert second - first <= seconds / 10 + 1e-6

    run(main())


def test_the_longest_pause_can_be_set():
    """As ``max_retry_after`` can be for a single call."""

    async def main():
        throttle = Throttle(4, longest_pause=3600)
        start = now()
        throttle.note_failure(refusal(429, 1800))
        await Service(throttle).attempt(took=0)
        assert now() - start == pytest.approx(1800)

    run(main())


def test_items_cancelled_in_a_pause_do_not_delay_others():
    """The next one takes their place."""

    async def main():
        throttle = Throttle(8, adaptive=False)
        service = Service(throttle)
        start = now()
        throttle.note_failure(refusal(429, 5))
        tasks = [asyncio.create_task(process(throttle, service, [(200, 0.01)])) for _ in range(8)]
        await asyncio.sleep(1)
        for task in tasks[:7:2]:
            task.cancel()
        await asyncio.wait(tasks)
        assert len(service.sent) == 4
        assert service.sent[0] == pytest.approx(start + 5)
        assert service.sent[-1] < start + 6
        assert throttle._limiter.borrowed == 0

    run(main())


# The retry budget


def test_an_outage_does_not_cause_a_retry_storm():
    """Workers that retry for ever are limited by the rate at which the budget refills."""

    async def main():
        throttle, retries = Throttle(16), Counter()
        service = Service(throttle)

        async def worker(name):
            while True:
                await service.retry(errors.ConnectionFailedError("refused"), wait=0.01)
                retries[name] += 1

        tasks = [asyncio.create_task(worker(name)) for name in range(16)]
        for seconds in (1, 9, 50):
            await asyncio.sleep(seconds)
            passed = now() - 1000
            assert retries.total() <= 16 + 1.6 * passed
            assert retries.total() >= 16 + 1.6 * passed - 2
        assert max(retries.values()) - min(retries.values()) <= 1, "no worker is preferred"
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run(main())


def test_a_few_retries_are_free_whatever_the_concurrency():
    """One worker can retry ten times before it has to wait."""

    async def main():
        service = Service(Throttle(1))
        start = now()
        for _ in range(10):
            await service.retry(refusal(500))
        assert now() == start
        await service.retry(refusal(500))
        assert now() - start == pytest.approx(1)

    run(main())


def test_successes_pay_for_retries():
    """Retries for a service that fails now and then are not delayed."""

    async def main():
        throttle = Throttle(16)
        service = Service(throttle)
        start = now()
        for _ in range(500):
            await service.attempt(500, took=0)
            await service.retry(refusal(500))
            await service.attempt(took=0)
            await service.attempt(took=0)
        assert now() == start

    run(main())


def test_cancelled_retries_lose_no_token():
    """Other retries do not wait longer for it, and keep their order."""

    async def main():
        budget, order, taken = RetryBudget(10), [], 0
        dice = random.Random(3)
        await many(10, budget.spend)
        start = now()

        async def take(number):
            nonlocal taken
            await budget.spend()
            taken += 1
            order.append(number)

        tasks = [asyncio.create_task(take(number)) for number in range(60)]
        for task in dice.sample(tasks, 40):
            await asyncio.sleep(dice.choice([0, 0, 0.25, 1]))
            task.cancel()
        await asyncio.wait(tasks)
        assert 20 <= taken < 60
        assert order == sorted(order)
        # Initial tokens, refilled ones, and those that are left.
        assert 10 + min(10, now() - start) - taken - budget.available() <= 10
        left = budget.available()
        await asyncio.sleep(3)
        assert budget.available() == pytest.approx(min(10, left + 3))

    run(main())


@settings(deadline=None, max_examples=50)
@given(
    capacity=st.integers(10, 64),
    steps=st.lists(
        st.one_of(st.just("take"), st.just("earn"), st.just("cancel"), st.floats(0, 20)),
        max_size=60,
    ),
)
def test_tokens_are_never_negative_nor_more_than_the_capacity(capacity, steps):
    """And no more are spent than there were initially, were refilled and were earned."""

    async def main():
        budget, tasks, start = RetryBudget(capacity), [], now()
        for step in steps:
            if step == "take":
                tasks += [asyncio.create_task(budget.spend()) for _ in range(8)]
            elif step == "earn":
                budget.earn()
            elif step == "cancel":
                for task in tasks[::3]:
                    task.cancel()
            else:
                await asyncio.sleep(step)
            await asyncio.sleep(0)
            assert 0 <= budget.available() <= capacity
        await asyncio.gather(*tasks, return_exceptions=True)
        taken = sum(not task.cancelled() for task in tasks)
        came = (now() - start) * capacity / 10 + steps.count("earn") * 0.5
        assert taken <= capacity + came + 1e-6
        assert 0 <= budget.available() <= capacity

    run(main())


def test_requests_outside_the_items_hold_no_slot():
    """A listing runs while all slots are taken, and its responses do not change the limit."""

    async def main():
        throttle = Throttle(1)
        service = Service(throttle)
        async with throttle.slot():
            listing = asyncio.create_task(_listing(service), context=Context())
            await asyncio.wait_for(listing, 20)
        assert throttle.limit == 1
        await _listing(service)
        assert throttle._limiter.borrowed == 0, "no slot is held after the item's end"

    async def _listing(service):
        await service.attempt(method="GET")
        await service.attempt(429, method="GET")
        await service.retry(refusal(429, 2), wait=2)
        await service.attempt(method="GET")

    run(main())


def test_a_run_inside_another_has_its_own_pace():
    """A request in a slot of one does not count for the other."""

    async def main():
        outer, inner = Throttle(1), Throttle(1)
        service = Service(inner)
        async with outer.slot():
            await service.attempt(429)
            await service.retry(refusal(500))
            assert (outer._limiter.borrowed, inner._limiter.borrowed) == (1, 0)
            async with inner.slot():
                await service.attempt()
                assert (outer._limiter.borrowed, inner._limiter.borrowed) == (1, 1)

    run(main())


# With the service


def paced(client, throttle):
    """Return a client's transport, paced by a throttle."""
    return client.transport.with_settings(evolve(client.transport.settings, pace=throttle))


async def upload_all(transport, throttle, count, workers=16):
    """Upload small files with several workers, and return their metadata."""
    numbers = iter(range(count))
    files = []

    async def worker():
        for number in numbers:
            content = b"%d" % number
            async with throttle.slot(partial(len, content)):
                files.append(await upload_file(transport, content, filename=f"{number}.txt"))

    await many(workers, worker)
    return files


@pytest.mark.parametrize("status", [429, 503])
async def test_no_request_is_sent_during_a_pause(raw_server, status):
    """One response with a ``Retry-After`` pauses all workers; then everything is uploaded."""
    arrivals, throttled_at = [], math.inf

    async def handler(request, number):
        nonlocal throttled_at
        arrivals.append(now())
        await asyncio.sleep(0.02)
        if number == 20:
            throttled_at = now()
            error = {"error": {"code": status, "message": "later"}}
            return http_response(status, error, "Retry-After: 1.5")
        size = int(request.headers("content-length")[0])
        assert size > 0
        name = request.body.partition(b'filename="')[2].partition(b'"')[0].decode()
        stored = {"filename": name, "size_bytes": len(name) - len(".txt")}
        return http_response(200, FILE | stored)

    server = await raw_server(handler)
    throttle = Throttle(16)
    async with AsyncOpenRouter("key", server_url=server.url) as client:
        files = await upload_all(paced(client, throttle), throttle, 100)
    assert len({file.filename for file in files}) == 100
    assert len(arrivals) == 101
    # Requests that were sent before the response came may still arrive.
    silent = [at - throttled_at for at in arrivals if 0.6 < at - throttled_at < 1.45]
    assert silent == []
    assert sum(at - throttled_at >= 1.45 for at in arrivals) > 40


async def test_a_throttled_service_gets_every_file_once(emulator):
    """Sixteen are throttled at once: one pause, half as many items at once, nothing is lost."""
    emulator.faults(Fault(operation="upload_file", status=429, retry_after=1, times=16))
    throttle, limits = Throttle(16), []
    watch = Hooks(on_retry=lambda _: limits.append(throttle.limit))
    async with AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, hooks=watch
    ) as client:
        start = now()
        files = await upload_all(paced(client, throttle), throttle, 48)
        assert 1 <= now() - start < 15
        assert sorted(file.filename for file in files) == sorted(f"{n}.txt" for n in range(48))
        stored = [file.filename async for file in client.files.list()]
    assert sorted(stored) == sorted(file.filename for file in files)
    assert limits == [8] * 16


@pytest.mark.parametrize("name", ["on_request", "on_response", "on_retry"])
async def test_a_callers_hook_that_raises_loses_no_slot(emulator, name):
    """Its error ends the call, as without a throttle."""

    def broken(event):
        raise KeyError

    emulator.faults(Fault(operation="upload_file", status=429))
    throttle = Throttle(2)
    async with AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, hooks=Hooks(**{name: broken})
    ) as client:
        with pytest.raises(KeyError):
            await upload_all(paced(client, throttle), throttle, 1, workers=1)
    assert throttle._limiter.borrowed == 0


async def test_a_throttle_that_is_raised_pauses_the_others(emulator):
    """The engine notes the error that an item ended with."""
    emulator.faults(Fault(operation="upload_file", status=429, retry_after=1))
    throttle = Throttle(16)
    async with AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, retries=RetryConfig.none()
    ) as client:
        transport = paced(client, throttle)
        with pytest.raises(errors.TooManyRequestsResponseError) as caught:
            await upload_all(transport, throttle, 1)
        throttle.note_failure(caught.value)
        start = now()
        await upload_all(transport, throttle, 1)
        assert now() - start >= 0.95


async def test_cancelled_uploads_leave_the_throttle_intact(emulator):
    """At any moment: waiting, sending, paused, or about to retry."""
    dice = random.Random(11)
    emulator.faults(
        Fault(operation="upload_file", status=429, retry_after=0.1, probability=0.2, times=None)
    )
    throttle = Throttle(4)
    quick = RetryConfig(initial_interval=0.01, max_interval=0.02)
    async with AsyncOpenRouter(
        emulator.management_key, server_url=emulator.base_url, retries=quick
    ) as client:
        transport = paced(client, throttle)
        for _ in range(15):
            task = asyncio.create_task(upload_all(transport, throttle, 50, workers=8))
            await asyncio.sleep(dice.uniform(0, 0.15))
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0)
            assert throttle._limiter.borrowed == 0
        emulator.faults()
        assert len(await asyncio.wait_for(upload_all(transport, throttle, 20), 20)) == 20
