"""The pace of a bulk run: items at once, pauses that all workers share, and a budget of retries.

Four mechanisms work together. The transport asks for each attempt, so everything that it sends is
paced and no worker has to know about it:

- `SlotLimiter` with `AdaptiveLimit`: at most ``limit`` items run at once. The limit halves when
  the service throttles, shrinks when it slows down, and otherwise grows by one per round of
  responses (additive increase, multiplicative decrease, as TCP does it). An item gives its slot
  to others while it waits for a retry.
- `PauseGate`: a ``Retry-After`` for one request is meant for all of them. After the pause,
  requests start one by one at shrinking intervals: all at once they would be throttled again.
- A process has a limit of open files. Where an item or a connection finds none left, that is the
  same kind of news, except that it lasts: the limit halves for good.
- `RetryBudget`: a token bucket. In an outage, sixteen workers that retry on their own schedules
  would be a storm; with a budget for all of them they retry at most ``capacity`` times in 10 s.

`SlotLimiter` is not `anyio.CapacityLimiter`, which does not hold under cancellation in anyio 4.6.0
(our oldest version) and was repaired bit by bit until 4.15. There, `release` wakes a waiter, but
the token counts as borrowed only once that waiter runs:

- A waiter that is cancelled in between does not pass the wake-up on, and the others wait for ever:
  in 26 of 60 runs with random cancellations (4.6.0 to 4.9.0; not in 4.12.0).
- A newcomer can take the token in between, so more items run than the limit allows (to 4.14.0).
- When the limit is lowered and raised again (8, 2, 3), a waiter is woken although 8 still run
  (to 4.14.0); and a cancelled ``acquire_on_behalf_of`` may keep its token (to 4.15.0).

Here a slot counts as taken in the same step that wakes its waiter, so none of this can happen; a
free slot is taken without a turn of the event loop. Waiters are served in order of arrival.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from ..errors import NoAnswerError, ResponseError
from .items import current_item

__all__ = ["Throttle"]

_THROTTLED: Final = frozenset({429, 503})
_FIRST_ERROR: Final = 400
"""Responses with this status or a higher one say nothing about the speed of the work."""

_THROTTLED_FACTOR: Final = 0.5
_SLOW_FACTOR: Final = 0.8
_SLOW_RATIO: Final = 4.0
"""A response is slow if it takes this many times as long as the fastest of its size class,"""
_SLOW_SECONDS: Final = 0.25
"""and this many seconds longer: smaller differences are the noise of small requests."""
_BEST_DECAY: Final = 0.2
"""Growth of the fastest time per round: a service that stays slow becomes the norm."""

_MIN_CAPACITY: Final = 10
_REFILL_SECONDS: Final = 10.0
"""Time in which an empty retry budget fills up."""
_EARNED: Final = 0.5
"""Retries that a success pays for."""
_MIN_SLEEP: Final = 0.001
"""Seconds; a shorter sleep may be lost in the clock's rounding."""

_FIRST_INTERVAL: Final = 0.1
_MIN_INTERVAL: Final = 0.005
_INTERVAL_FACTOR: Final = 0.8

SizeClass = tuple[str, int]
"""A method and the bit length of the item's size: requests that take about equally long."""


def _now() -> float:
    return asyncio.get_running_loop().time()


class AdaptiveLimit:
    """Number of items at once: grows by one per round of responses, shrinks when it must.

    A round is ``value`` responses. Only responses to requests sent since the last decrease count,
    as earlier ones were paced by the previous limit: throttles in the same moment decrease it once.
    """

    def __init__(self, maximum: int, *, adaptive: bool) -> None:
        self.value = float(maximum)
        self.decreases = 0
        """How often the limit was lowered; each request remembers the number at its start."""
        self._maximum = maximum
        self._adaptive = adaptive
        self._responses = self._slow = 0
        self._best: dict[SizeClass, float] = {}

    def succeeded(self, size_class: SizeClass, seconds: float, decreases: int) -> None:
        """Take note of a success, and of the time it took."""
        if not self._adaptive or decreases < self.decreases:
            return
        self._slow += self._is_slow(size_class, seconds)
        self._responses += 1
        if self._responses < int(self.value):
            return
        if self._slow > self._responses / 2:
            self._decrease(_SLOW_FACTOR)
        else:
            self.value = min(self._maximum, self.value + 1)
        self._responses = self._slow = 0

    def throttled(self, decreases: int) -> None:
        """Take note that the service asked for fewer requests."""
        if self._adaptive and decreases == self.decreases:
            self._decrease(_THROTTLED_FACTOR)
            self._responses = self._slow = 0

    def lower(self, decreases: int) -> bool:
        """Halve the limit for good, at most once for all that started under the same limit."""
        if decreases != self.decreases:
            return False
        self._decrease(_THROTTLED_FACTOR)
        self._maximum = max(1, int(self.value))
        self.value = float(self._maximum)
        self._responses = self._slow = 0
        return True

    def _decrease(self, factor: float) -> None:
        self.value = max(1.0, self.value * factor)
        self.decreases += 1

    def _is_slow(self, size_class: SizeClass, seconds: float) -> bool:
        best = self._best.get(size_class, math.inf)
        self._best[size_class] = min(seconds, best * (1 + _BEST_DECAY / self.value))
        return seconds > best * _SLOW_RATIO and seconds > best + _SLOW_SECONDS


class SlotLimiter:
    """Slots for as many items as the limit allows, first come, first served."""

    def __init__(self, limit: AdaptiveLimit) -> None:
        self.borrowed = 0
        self._limit = limit
        self._waiters: deque[asyncio.Future[None]] = deque()

    def _has_free_slot(self) -> bool:
        return self.borrowed + 1 <= self._limit.value

    async def acquire(self) -> None:
        """Take a slot, waiting for a free one if necessary."""
        if self._has_free_slot():  # then no task waits: `wake_waiters` has let them in
            self.borrowed += 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():  # it got its slot, then was cancelled
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back."""
        self.borrowed -= 1
        self.wake_waiters()

    def wake_waiters(self) -> None:
        """Give the free slots to those who wait; call it when the limit has grown."""
        while self._waiters and self._has_free_slot():
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.borrowed += 1
                waiter.set_result(None)


class RetryBudget:
    """Token bucket that limits retries; time and successes refill it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rate = capacity / _REFILL_SECONDS
        self._tokens = float(capacity)
        self._refilled_at = -math.inf
        self._lock = asyncio.Lock()  # serves its waiters in order

    def available(self) -> float:
        """Return the number of tokens, at most the capacity."""
        now = _now()
        refilled = self._tokens + (now - self._refilled_at) * self._rate
        self._tokens = min(self._capacity, refilled)
        self._refilled_at = now
        return self._tokens

    async def spend(self) -> None:
        """Take a token, waiting for one in order of arrival."""
        async with self._lock:
            while (missing := 1 - self.available()) > 0:  # noqa: ASYNC110 - only time refills it
                await asyncio.sleep(max(_MIN_SLEEP, missing / self._rate))
            self._tokens -= 1

    def earn(self) -> None:
        """Add what a success pays for; `available` cuts it to the capacity."""
        self._tokens = self.available() + _EARNED


class PauseGate:
    """Gate that is closed during a pause, then lets requests start one by one, ever faster."""

    def __init__(self) -> None:
        self._opens_at = -math.inf
        self._interval = 0.0
        self._lock = asyncio.Lock()  # serves its waiters in order

    def close(self, seconds: float) -> None:
        """Close the gate for ``seconds``."""
        self._opens_at = max(self._opens_at, _now() + seconds)
        self._interval = max(self._interval, min(_FIRST_INTERVAL, seconds / 10))

    async def wait(self) -> None:
        """Return when the gate is open, and those who came before have passed."""
        if not self._interval:
            return
        async with self._lock:
            while (wait := self._opens_at - _now()) > 0:  # noqa: ASYNC110 - `close` may extend it
                await asyncio.sleep(wait)
            self._opens_at = _now() + self._interval
            self._interval *= _INTERVAL_FACTOR
            if self._interval < _MIN_INTERVAL:
                self._interval = 0.0


class ItemSlot:
    """Slot of one item, free for others while the item waits for a retry."""

    __slots__ = ("_gate", "_held", "_limiter", "_size", "_token", "gate_passed", "sent", "throttle")

    def __init__(
        self,
        throttle: "Throttle",
        limiter: SlotLimiter,
        gate: PauseGate,
        size: Callable[[], int | None],
    ) -> None:
        self.throttle = throttle
        self.sent: tuple[int, float] = (0, 0.0)
        """The limit's ``decreases`` when the item's last attempt started, and its start time."""
        self.gate_passed = False
        """Whether the next attempt has passed the gate already."""
        self._limiter = limiter
        self._gate = gate
        self._size = size
        self._held = False

    def size_class(self, method: str) -> SizeClass:
        """Return the class of requests to compare the item's own with."""
        size = self._size()
        return method, -1 if size is None else size.bit_length()

    async def acquire(self) -> None:
        """Take the slot, unless it is held already."""
        if not self._held:
            await self._limiter.acquire()
            self._held = True

    def release(self) -> None:
        """Give the slot back, until the next attempt or for good."""
        if self._held:
            self._held = False
            self._limiter.release()

    async def __aenter__(self) -> None:
        await self.acquire()
        try:
            # Before the call starts, as a pause must not count against the call's deadline.
            await self._gate.wait()
        except BaseException:
            self.release()
            raise
        self.gate_passed = True
        self._token: Token[ItemSlot | None] = _current_slot.set(self)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current_slot.reset(self._token)
        self.release()


_current_slot: ContextVar[ItemSlot | None] = ContextVar("current_slot", default=None)


class Throttle:
    """Pace shared by all workers of a run, for one event loop.

    - `slot` lets at most ``limit`` items run at once. The limit halves when the service throttles
      (429, 503), shrinks when most responses have become much slower than the fastest of their
      size class, and grows by one after as many successes as it allows items.
    - A ``Retry-After`` pauses all workers once. Afterwards they start one by one.
    - Each retry takes a token from a shared budget, and waits for one if the budget is spent.
    """

    def __init__(
        self, concurrency: int, *, adaptive: bool = True, longest_pause: float = 60.0
    ) -> None:
        """Start at full pace.

        Args:
            concurrency: The limit's maximum, and its initial value.
            adaptive: Whether the limit changes; pauses and the retry budget apply in any case.
            longest_pause: Longest pause for a ``Retry-After``, in seconds.
        """
        self._limit = AdaptiveLimit(concurrency, adaptive=adaptive)
        self._limiter = SlotLimiter(self._limit)
        self._budget = RetryBudget(max(_MIN_CAPACITY, concurrency))
        self._gate = PauseGate()
        self._longest_pause = longest_pause
        self._unreachable_since: float | None = None

    @property
    def limit(self) -> float:
        """Items that may run at once now: at least 1, at most ``concurrency``."""
        return self._limit.value

    def slot(self, size: Callable[[], int | None] = lambda: None) -> ItemSlot:
        """Return a slot for one item, to enter with ``async with`` around its requests.

        Args:
            size: Returns the item's size in bytes, or None while it is unknown: response times
                are compared within a size class.
        """
        return ItemSlot(self, self._limiter, self._gate, size)

    async def _pass_gate(self, slot: ItemSlot | None) -> None:
        if not (slot and slot.gate_passed):
            await self._gate.wait()
        if slot:
            slot.gate_passed = False

    def note_failure(self, error: Exception) -> None:
        """Take note of a failed attempt, whether or not it is retried.

        It may start a pause, or show that the service cannot be reached.
        """
        if isinstance(error, ResponseError) and error.status_code in _THROTTLED:
            self._gate.close(min(error.retry_after or 0.0, self._longest_pause))
        elif isinstance(error, NoAnswerError):
            if error.maybe_processed:
                self.note_contact()
            elif self._unreachable_since is None:
                self._unreachable_since = _now()

    @property
    def decreases(self) -> int:
        """How often the limit was lowered."""
        return self._limit.decreases

    def note_shortage(self, decreases: int) -> bool:
        """Let fewer items run, as there are no more file descriptors; False if it is known."""
        return self._limit.lower(decreases)

    def note_contact(self) -> None:
        """Take note that the service is reachable: a response came, or it took content."""
        self._unreachable_since = None

    @property
    def unreachable_for(self) -> float:
        """Seconds since the first failure to reach the service after the last contact."""
        return 0.0 if self._unreachable_since is None else _now() - self._unreachable_since

    async def before_attempt(self) -> None:
        """Wait until an attempt of this task's item, or of no item, may start."""
        slot = self._own_slot()
        if slot:
            await slot.acquire()
        await self._pass_gate(slot)
        if slot:
            slot.sent = self._limit.decreases, _now()
        if item := current_item.get():
            item.attempts += 1

    async def before_retry(self, error: Exception) -> None:
        """Give the slot to others, and wait for a token of the budget."""
        self.note_failure(error)
        if slot := self._own_slot():
            slot.release()
        await self._budget.spend()

    def _own_slot(self) -> ItemSlot | None:
        """Return the slot of this task's item; None for requests outside any item."""
        slot = _current_slot.get()
        return slot if slot and slot.throttle is self else None

    def note_response(self, method: str, status_code: int) -> None:
        """Take note of a response: the service is reachable, and perhaps slow or overloaded."""
        self.note_contact()
        is_success = status_code < _FIRST_ERROR
        if is_success:
            self._budget.earn()
        if slot := self._own_slot():
            decreases, started = slot.sent
            if is_success:
                size_class = slot.size_class(method)
                self._limit.succeeded(size_class, _now() - started, decreases)
            elif status_code in _THROTTLED:
                self._limit.throttled(decreases)
            self._limiter.wake_waiters()
