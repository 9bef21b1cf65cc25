"""What a bulk operation returns: its outcomes, which a reader may wait for with a time limit.

A plain async generator ends when a wait for its next item is cancelled, and says nothing about it:
after ``wait_for(anext(outcomes), 5)`` had timed out, a run would be over in its middle. Here each
step of the generator is a task of its own, so that a cancelled wait loses nothing: the next one
gets the outcome. Meanwhile the run is paused: what has started is finished, and nothing more
starts. It ends when it is closed, or no longer referred to. A step gives all outcomes that are
there, as a task for each would cost more than the outcome.

``SystemExit`` and ``KeyboardInterrupt`` in callers' code (``progress=``, hooks, ``match=``,
iterators) would end the event loop if a task of ours raised them. They leave our tasks as values,
and are raised where the caller waits.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from types import TracebackType
from typing import Final

from attrs import frozen

from .._workers import wait_all
from .results import Outcome

__all__ = ["Outcomes"]

_END: Final = object()


@frozen
class _Raised:
    """An exception for which asyncio would end the loop."""

    error: BaseException


class Outcomes(AsyncGenerator[Outcome, None]):
    """The outcomes of a run, in order of completion.

    Args:
        generator: Yields them, in batches.
        reading: Cleared from a cancelled wait to the next one.
    """

    def __init__(
        self, generator: AsyncGenerator[list[Outcome], None], reading: asyncio.Event
    ) -> None:
        self._generator = generator
        self._ready: deque[Outcome] = deque()
        self._reading = reading
        self._step: asyncio.Task[object] | None = None
        self._is_read = False

    async def __anext__(self) -> Outcome:
        """Return the next outcome; a cancelled wait pauses the run, and loses none."""
        if self._is_read:
            msg = "another task waits for this run's next outcome"
            raise RuntimeError(msg)
        self._reading.set()
        if self._ready:
            return self._ready.popleft()
        if self._step is None:
            self._step = asyncio.create_task(_advance(self._generator))
        step = self._step
        self._is_read = True
        try:
            await asyncio.wait([step])
        except asyncio.CancelledError:
            self._reading.clear()
            raise
        finally:
            self._is_read = False
        if step is not self._step:  # closed by another task
            raise StopAsyncIteration
        self._step = None
        result = _result(step)
        if not isinstance(result, list):
            raise StopAsyncIteration
        self._ready.extend(result)
        return self._ready.popleft()

    async def asend(self, value: None) -> Outcome:
        """Return the next outcome."""
        return await anext(self)

    async def athrow(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Outcome:
        """Close the run, and raise the exception."""
        await self.aclose()
        if isinstance(kind, BaseException):
            raise kind
        raise value if isinstance(value, BaseException) else kind()

    async def aclose(self) -> None:
        """Cancel the run, and wait for its end."""
        step, self._step = self._step, None
        self._ready.clear()
        if step is not None:
            step.cancel()
            await wait_all([step])
        await self._generator.aclose()
        if step is not None and not step.cancelled():
            _result(step)  # raises what no wait has returned yet

    def __del__(self) -> None:
        """End a run without references; without a step, its generator ends by itself."""
        if self._step is not None and not self._step.done():
            with suppress(RuntimeError):  # the loop is closed
                self._step.get_loop().call_soon_threadsafe(self._step.cancel)


async def _advance(generator: AsyncGenerator[list[Outcome], None]) -> object:
    try:
        return await anext(generator, _END)
    except (SystemExit, KeyboardInterrupt) as error:
        return _Raised(error)


def _result(step: asyncio.Task[object]) -> object:
    result = step.result()
    if isinstance(result, _Raised):
        raise result.error
    return result
