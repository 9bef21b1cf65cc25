"""Times in HTTP headers: dates in all three forms of RFC 9110, and ``Retry-After``."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["parse_http_date", "parse_retry_after"]

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)


def parse_http_date(text: str) -> datetime | None:
    """Return an HTTP date as an aware datetime; None for nonsense.

    A date without a zone is GMT: the asctime form never has one (RFC 9110, 5.6.7).
    """
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError, IndexError):
        return None


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds to wait, never negative; None if there is no usable value.

    Fractions of a second are not in RFC 9110 (10.2.3), but gateways send them.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    date = parse_http_date(text)
    if date is None:
        return None
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
