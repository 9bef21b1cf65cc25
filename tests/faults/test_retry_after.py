"""Answers that ask to come back, in words that make sense or none."""

import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from support.servers import http_response, read_body

from openrouter_async import RetryConfig, errors

from .harness import (
    NOISE,
    QUICK,
    Case,
    create,
    create_key,
    delete,
    delete_key,
    list_keys,
    listing,
    promote,
    retrieve,
    set_budget,
    update,
    update_key,
    upload,
)

KINDS = {
    429: errors.TooManyRequestsResponseError,
    503: errors.ServiceUnavailableResponseError,
}


def date(seconds):
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def busy(status, *headers):
    """A refusal with these headers, which may be bytes that no text holds."""
    raw = http_response(status, {"error": {"code": status, "message": "later"}})
    head, _, body = raw.partition(b"\r\n\r\n")
    return b"\r\n".join([head, *headers]) + b"\r\n\r\n" + body


HARMLESS = {
    "0": [b"0"],
    "a fraction": [b"0.05"],
    "a date past": [date(-3600).encode()],
    "a date long past": [b"Mon, 01 Jan 1900 00:00:00 GMT"],
    "1e9": [b"1e9"],
    "nan": [b"nan"],
    "inf": [b"inf"],
    "-1": [b"-1"],
    "full-width digits": ["\uff15\uff15".encode()],
    "two headers": [b"0", b"0"],
    "400 digits": [b"9" * 400],
    "nothing": [b""],
    "a date without end": [b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT"],
    "a zone beyond all": [b"Mon, 01 Jan 2024 00:00:00 +99999999"],
    "a date of no calendar": [b"Mon, 32 Foo 2024 25:61:61 GMT"],
    "Latin-1": [b"\xe9\xe8"],
    "64 KiB": [b"x" * 65_536],
}


@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
@pytest.mark.parametrize("status", KINDS)
@pytest.mark.parametrize("name", HARMLESS)
def test_a_wait_that_is_over_or_makes_no_sense_is_none(harness, name, status, call):
    """The call is tried again as if it had not been said; a 503 without it may have acted."""
    headers = [b"Retry-After: " + value for value in HARMLESS[name]]
    understood = name in {"0", "two headers", "a fraction", "a date past", "a date long past"}
    again = call is retrieve or status == 429 or understood
    Case(
        busy(status, *headers),
        None if again else KINDS[status],
        requests=2 if again else 1,
        options={"retries": QUICK},
        seconds=(0, 2 + NOISE),
    ).run(harness, call)


def test_a_wait_of_two_seconds_is_waited_for(harness):
    """Not less, and not much more."""
    Case(
        busy(429, b"Retry-After: 2"),
        requests=2,
        options={"retries": QUICK},
        seconds=(2, 2.3 + NOISE),
    ).run(harness, upload)


def test_a_date_in_two_seconds_is_waited_for(harness):
    """Its fraction was cut off, so that it is a second or more."""

    async def step(request):
        return busy(503, b"Retry-After: " + date(2).encode())

    Case(step, requests=2, options={"retries": QUICK}, seconds=(0.9, 2.3 + NOISE)).run(
        harness, retrieve
    )


TOO_LONG = {
    "1,000,000,000": (b"1000000000", 1e9),
    "61": (b"61", 61.0),
    "fifteen digits": (b"9" * 15, 999999999999999.0),
    "a date tomorrow": (date(86_400).encode(), 86_400),
    "a date in a thousand years": (b"Fri, 01 Jan 3024 00:00:00 GMT", 3e10),
}


@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
@pytest.mark.parametrize("status", KINDS)
@pytest.mark.parametrize("name", TOO_LONG)
def test_a_wait_that_is_too_long_is_raised_at_once(harness, name, status, call):
    """With the seconds that were asked for."""
    value, seconds = TOO_LONG[name]

    def check(error):
        assert error.retry_after == pytest.approx(seconds, rel=0.1)

    Case(
        busy(status, b"Retry-After: " + value),
        KINDS[status],
        options={"retries": QUICK},
        seconds=(0, 1 + NOISE),
        check=check,
    ).run(harness, call)


# The number of failures before a response

FAILURES = {
    500: errors.InternalServerResponseError,
    502: errors.BadGatewayResponseError,
    503: errors.ServiceUnavailableResponseError,
    504: errors.GatewayTimeoutResponseError,
}
ATTEMPTS = {
    retrieve: 4,
    listing: 4,
    delete: 4,
    set_budget: 4,
    update: 2,
    upload: 1,
    create: 1,
    list_keys: 4,
    delete_key: 4,
    update_key: 2,
    create_key: 1,
    promote: 1,
}


@pytest.mark.parametrize("call", ATTEMPTS, ids=lambda call: call.__name__)
@pytest.mark.parametrize("status", FAILURES)
@pytest.mark.parametrize("times", [1, 3, 4])
def test_a_failure_is_outlasted_as_far_as_it_is_safe(harness, times, status, call):
    """As the table in the README has it."""
    lasts = times < ATTEMPTS[call]
    Case(
        (http_response(status),) * min(times, ATTEMPTS[call]),
        None if lasts else FAILURES[status],
        requests=min(times + 1, ATTEMPTS[call]),
        options={"retries": QUICK},
    ).run(harness, call)


def test_a_wait_that_would_outlast_the_call_is_not_started(harness):
    """Neither the total time, nor that of the retries."""
    for options in ({"timeout": 3.0}, {"retries": RetryConfig(max_elapsed_time=3)}):
        Case(
            busy(429, b"Retry-After: 5"), KINDS[429], options={"retries": QUICK} | options,
            seconds=(0, 1 + NOISE),
        ).run(harness, retrieve)  # fmt: skip


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("call", [retrieve, upload], ids=lambda call: call.__name__)
def test_a_clock_that_is_set_during_a_wait_changes_nothing(harness, monkeypatch, hours, call):
    """Waits and limits go by a clock that cannot be set."""
    began = time.time()

    class Moved(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=hours)

    async def step(request):
        await read_body(request)
        monkeypatch.setattr(time, "time", lambda: began + hours * 3600)
        for name, module in list(sys.modules.items()):
            if name.startswith("openrouter_async") and hasattr(module, "datetime"):
                monkeypatch.setattr(module, "datetime", Moved)
        return busy(429, b"Retry-After: 0.3")

    Case(
        step,
        requests=2,
        options={"retries": QUICK, "timeout": 20},
        seconds=(0.3, 0.5 + NOISE),
    ).run(harness, call)
