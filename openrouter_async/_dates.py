"""Times in HTTP headers: dates in all three forms of RFC 9110, and ``Retry-After``."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["parse_clock", "parse_http_date", "parse_retry_after", "wait_from"]

_SECONDS: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
_YEARS: Final = range(1990, 2200)
"""A clock that shows another year is no clock."""
_LEAST_TIMESTAMP: Final = 1e9
_LEAST_MILLISECONDS: Final = 1e11


def parse_http_date(text: str) -> datetime | None:
    """Return an HTTP date as an aware datetime; None for nonsense.

    A date without a zone is GMT: the asctime form never has one (RFC 9110, 5.6.7).
    """
    try:
        date = parsedate_to_datetime(text)
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError, IndexError):
        return None
    return date


def parse_clock(date: str | None) -> datetime | None:
    """Return the time of a ``Date`` header; None without one, or if no clock can show it."""
    clock = parse_http_date(date or "")
    return clock if clock and clock.year in _YEARS else None


def wait_from(headers: Mapping[str, str], *, throttled: bool) -> float | None:
    """Return the seconds that a response asks to wait, never negative; None without a usable value.

    ``retry-after-ms`` comes first, as in the vendor's clients; then ``Retry-After`` (RFC 9110,
    10.2.3; fractions are not in it, but gateways send them, and the longest of several counts);
    then, if the response is a 429, ``X-RateLimit-Reset``. Dates are compared with the response's
    own ``Date``, as the server's clock may differ from ours.

    Args:
        headers: By lower-case name.
        throttled: Whether the status is 429.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _SECONDS.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    now = parse_clock(headers.get("date")) or datetime.now(UTC)
    wait = parse_retry_after(headers.get("retry-after"), now)
    if wait is None and throttled:
        wait = _until_reset(headers.get("x-ratelimit-reset", "").strip(), now)
    return wait


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` means; None without a usable value."""
    if value is None:
        return None
    parts = [part.strip() for part in value.split(",")]  # a header that came twice
    if all(_SECONDS.fullmatch(part) for part in parts):
        return max(map(float, parts))
    date = parse_http_date(value.strip())
    return max(0.0, (date - now).total_seconds()) if date else None


def _until_reset(value: str, now: datetime) -> float | None:
    """Seconds until a moment in seconds or milliseconds since 1970; a small number is a wait."""
    if not _SECONDS.fullmatch(value):
        return None
    number = float(value)
    if number >= _LEAST_MILLISECONDS:
        number /= 1000
    return max(0.0, number - now.timestamp()) if number >= _LEAST_TIMESTAMP else number
