"""The pace of a bulk run: how many at once, when everybody pauses, how much is sent again.

It works through hooks alone, so all that the transport sends is paced. A slot or a token is taken
in the same step in which the wait for it ends, so that a cancellation loses none.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final

from attrs import evolve

from .._core.hooks import Hooks, RequestEvent, ResponseEvent, RetryEvent, notify
from ..errors import NoAnswerError, ResponseError

__all__ = ["Throttle"]

_THROTTLES: Final = frozenset({429, 503})
_REFUSED: Final = 400
"""From this status on a response says nothing of how fast the work is done."""

_AFTER_THROTTLE: Final = 0.5
_AFTER_SLOWNESS: Final = 0.8
_SLOW: Final = 4.0
"""A response is slow if it takes so many times as long as the best of its kind,"""
_SLOWER: Final = 0.25
"""and so many seconds longer: below that it is the noise of small requests."""
_FORGET: Final = 0.2
"""How much worse the best gets in a round, so that a service slow for good is normal one day."""

_LEAST_QUOTA: Final = 10
_REFILL: Final = 10.0
"""Seconds in which an empty quota fills up."""
_EARNED: Final = 0.5
"""Retries that a success pays for."""
_TICK: Final = 0.001
"""Seconds. Less may be lost in the clock's rounding."""

_FIRST_GAP: Final = 0.1
_LEAST_GAP: Final = 0.005
_SHRINK: Final = 0.8

Kind = tuple[str, int]
"""A method and the magnitude of the item's size: what takes about as long as each other."""


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Limit:
    """How many at once: one more after each round of answers, fewer at throttles or when slow.

    A round is ``value`` answers. Only those to requests sent since the last decrease count, as
    the others tell of the pace before it: many throttles of one moment are one decrease.
    """

    def __init__(self, most: int, *, adaptive: bool) -> None:
        self.value = float(most)
        self.falls = 0
        """How often it was lowered; a request's response comes with the number at its sending."""
        self._most = most
        self._adaptive = adaptive
        self._answers = self._slow = 0
        self._best: dict[Kind, float] = {}

    def answered(self, kind: Kind, took: float, falls: int) -> None:
        """The service did what was asked, in so many seconds."""
        if not self._adaptive or falls < self.falls:
            return
        self._slow += self._is_slow(kind, took)
        self._answers += 1
        if self._answers < int(self.value):
            return
        if self._slow > self._answers / 2:
            self._fall(_AFTER_SLOWNESS)
        else:
            self.value = min(self._most, self.value + 1)
        self._answers = self._slow = 0

    def throttled(self, falls: int) -> None:
        """The service asked for fewer requests."""
        if self._adaptive and falls == self.falls:
            self._fall(_AFTER_THROTTLE)
            self._answers = self._slow = 0

    def _fall(self, factor: float) -> None:
        self.value = max(1.0, self.value * factor)
        self.falls += 1

    def _is_slow(self, kind: Kind, took: float) -> bool:
        best = self._best.get(kind, math.inf)
        self._best[kind] = min(took, best * (1 + _FORGET / self.value))
        return took > best * _SLOW and took > best + _SLOWER


class _Slots:
    """As many as the limit says, first come, first served."""

    def __init__(self, limit: _Limit) -> None:
        self.taken = 0
        self._limit = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    def _has_room(self) -> bool:
        return self.taken + 1 <= self._limit.value

    async def take(self) -> None:
        """Wait for one; where there is room nobody waits, as `wake` lets them in."""
        if self._has_room():
            self.taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # it came in the moment of the cancellation
                self.give()
            raise

    def give(self) -> None:
        """Give one back."""
        self.taken -= 1
        self.wake()

    def wake(self) -> None:
        """Let in as many as there is room for."""
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)


class _Quota:
    """What may be sent again: a bucket of tokens that time and successes fill."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rate = capacity / _REFILL
        self._tokens = float(capacity)
        self._filled = -math.inf
        self._line = asyncio.Lock()

    def level(self) -> float:
        """Tokens there are now, never more than fit."""
        now = _now()
        filled = self._tokens + (now - self._filled) * self._rate
        self._tokens = min(self._capacity, filled)
        self._filled = now
        return self._tokens

    async def take(self) -> None:
        """Wait for a token, in line."""
        async with self._line:
            while (missing := 1 - self.level()) > 0:  # noqa: ASYNC110 - time brings it
                await asyncio.sleep(max(_TICK, missing / self._rate))
            self._tokens -= 1

    def earn(self) -> None:
        """A success pays for a part of a retry."""
        self._tokens = self.level() + _EARNED


class _Gate:
    """Shut during a pause; afterwards it lets through one by one, and ever faster."""

    def __init__(self) -> None:
        self._opens = -math.inf
        self._gap = 0.0
        self._line = asyncio.Lock()

    def shut(self, seconds: float) -> None:
        """Let nobody through for so long from now."""
        self._opens = max(self._opens, _now() + seconds)
        self._gap = max(self._gap, min(_FIRST_GAP, seconds / 10))

    async def passed(self) -> None:
        """Wait until it is one's turn."""
        if not self._gap:
            return
        async with self._line:
            while (wait := self._opens - _now()) > 0:  # noqa: ASYNC110 - time opens it
                await asyncio.sleep(wait)
            self._opens = _now() + self._gap
            self._gap *= _SHRINK
            if self._gap < _LEAST_GAP:
                self._gap = 0.0


class _Slot:
    """An item's slot, which is free for others while the item waits to be sent again."""

    __slots__ = ("_gate", "_held", "_size", "_slots", "_token", "passed", "sent", "throttle")

    def __init__(
        self,
        throttle: "Throttle",
        slots: _Slots,
        gate: _Gate,
        size: Callable[[], int | None],
    ) -> None:
        self.throttle = throttle
        self.sent: tuple[int, float] = (0, 0.0)
        """How often the limit had fallen when its last attempt began, and when that was."""
        self.passed = False
        """Whether the next attempt need not wait at the gate any more."""
        self._slots = slots
        self._gate = gate
        self._size = size
        self._held = False

    def kind(self, method: str) -> Kind:
        """What its requests are to be compared with."""
        size = self._size()
        return method, -1 if size is None else size.bit_length()

    async def hold(self) -> None:
        """Wait for the slot, if it is not held already."""
        if not self._held:
            await self._slots.take()
            self._held = True

    def let_go(self) -> None:
        """Give it back for now, or for good."""
        if self._held:
            self._held = False
            self._slots.give()

    async def __aenter__(self) -> None:
        await self.hold()
        try:
            # Here, as a pause shall not count against the time that a call may take.
            await self._gate.passed()
        except BaseException:
            self.let_go()
            raise
        self.passed = True
        self._token: Token[_Slot | None] = _current.set(self)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.reset(self._token)
        self.let_go()


_current: ContextVar[_Slot | None] = ContextVar("slot", default=None)


class Throttle:
    """The pace that all workers of a run share; for one event loop.

    - `slot` lets at most ``limit`` items be under way. The limit halves when the service
      throttles (429, 503), shrinks when most answers have become much slower than the best of
      their kind, and grows by one for as many successes as it allows items.
    - A ``Retry-After`` pauses everybody once. Afterwards they follow one by one.
    - Each retry takes a token from a quota, and waits for one if there is none.
    """

    def __init__(
        self, concurrency: int, *, adaptive: bool = True, longest_pause: float = 60.0
    ) -> None:
        """Begin at full pace.

        Args:
            concurrency: The limit's ceiling, where it begins.
            adaptive: Whether the limit changes; pauses and the quota hold in any case.
            longest_pause: Seconds; where ``Retry-After`` asks for more, the pause is as long.
        """
        self._limit = _Limit(concurrency, adaptive=adaptive)
        self._slots = _Slots(self._limit)
        self._quota = _Quota(max(_LEAST_QUOTA, concurrency))
        self._gate = _Gate()
        self._longest_pause = longest_pause
        self._unreached: float | None = None

    @property
    def limit(self) -> float:
        """Items that may be under way now: at least 1, at most ``concurrency``."""
        return self._limit.value

    def slot(self, size: Callable[[], int | None] = lambda: None) -> _Slot:
        """A slot for one item, as ``async with``: what the item's task sends there is its own.

        Args:
            size: Gives the bytes of the item, once they are known: its answers are compared with
                those of similar ones.
        """
        return _Slot(self, self._slots, self._gate, size)

    async def _pass_gate(self, slot: _Slot | None) -> None:
        if not (slot and slot.passed):
            await self._gate.passed()
        if slot:
            slot.passed = False

    def note(self, error: Exception) -> None:
        """What a failure tells of the service, whether or not it is tried again.

        It may ask everybody to pause, or be one more that did not reach the service.
        """
        if isinstance(error, ResponseError) and error.status_code in _THROTTLES:
            self._gate.shut(min(error.retry_after or 0.0, self._longest_pause))
        elif isinstance(error, NoAnswerError):
            if error.maybe_processed:
                self.reached()
            elif self._unreached is None:
                self._unreached = _now()

    def reached(self) -> None:
        """Take note of a sign of life: a response, or bytes on their way."""
        self._unreached = None

    @property
    def silence(self) -> float:
        """Seconds in which there were only failures to reach the service."""
        return 0.0 if self._unreached is None else _now() - self._unreached

    def hooks(self, others: Hooks) -> Hooks:
        """Hooks that pace each attempt, and call the others when it may go on."""

        async def on_request(event: RequestEvent) -> None:
            slot = self._own_slot()
            if slot:
                await slot.hold()
            await self._pass_gate(slot)
            if others.on_request:
                await notify(others.on_request, event)
            if slot:
                slot.sent = self._limit.falls, _now()

        async def on_response(event: ResponseEvent) -> None:
            self._answered(event)
            if others.on_response:
                await notify(others.on_response, event)

        async def on_retry(event: RetryEvent) -> None:
            self.note(event.error)
            if slot := self._own_slot():
                slot.let_go()
            if others.on_retry:
                await notify(others.on_retry, event)
            await self._quota.take()

        return evolve(others, on_request=on_request, on_response=on_response, on_retry=on_retry)

    def _own_slot(self) -> _Slot | None:
        """The slot of the item that this task deals with; None for what is sent beside them."""
        slot = _current.get()
        return slot if slot and slot.throttle is self else None

    def _answered(self, event: ResponseEvent) -> None:
        self.reached()
        done = event.status_code < _REFUSED
        if done:
            self._quota.earn()
        if slot := self._own_slot():
            falls, began = slot.sent
            if done:
                self._limit.answered(slot.kind(event.method), _now() - began, falls)
            elif event.status_code in _THROTTLES:
                self._limit.throttled(falls)
            self._slots.wake()
