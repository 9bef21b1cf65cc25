"""The service's clock, as far as the ``Date`` of its responses tells it."""

import time
from datetime import UTC, datetime, timedelta

from .._dates import parse_clock

__all__ = ["ServiceClock"]


class ServiceClock:
    """Translates moments of the monotonic clock into the service's time."""

    def __init__(self) -> None:
        self._seen: tuple[str, float] | None = None

    def note(self, date: str) -> None:
        """Remember a ``Date`` that has just arrived."""
        self._seen = date, time.monotonic()

    @property
    def margin(self) -> timedelta:
        """How far times of stored files may be from `time_at`.

        ``Date`` may come from another machine than the file's time. Before any response had
        one, all that is known is that clocks are mostly right.
        """
        return timedelta(seconds=5 if self._reading() else 600)

    def time_at(self, moment: float) -> datetime:
        """Return a moment of the monotonic clock by the service's clock, in whole seconds.

        Rounded down, as times of files are compared with it. By our own clock until a response
        has carried a ``Date``.
        """
        if reading := self._reading():
            date, at = reading
            then = date + timedelta(seconds=moment - at)
        else:
            then = datetime.now(UTC) - timedelta(seconds=time.monotonic() - moment)
        return then.replace(microsecond=0)

    def _reading(self) -> tuple[datetime, float] | None:
        # Parsed only here: every response has a date, and few calls need it.
        date = parse_clock(self._seen[0]) if self._seen else None
        return (date, self._seen[1]) if date and self._seen else None
