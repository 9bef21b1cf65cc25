"""What ``Retry-After`` asks for."""

import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.failures import raised
from support.handlers import respond_with
from support.samples import KEY
from support.servers import http_response

from openrouter_async import RetryConfig
from openrouter_async._dates import parse_clock, parse_http_date, parse_retry_after, wait_from
from openrouter_async.errors import (
    NoAnswerError,
    OpenRouterError,
    TooManyRequestsResponseError,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("2", 2),
        (" 120\t", 120),
        ("0.5", 0.5),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sunday, 22-Nov-26 12:00:00 GMT", 86_400),
        ("Sat Nov 21 12:01:00 2026", 60),
        ("1, 1", 1),
        ("2, 30", 30),
    ],
)
def test_seconds_and_dates_are_understood(value, seconds):
    """Of all three forms of dates that the RFC names; never a negative wait."""
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "soon",
        "1e9",
        "nan",
        "inf",
        "-inf",
        "-1",
        "+2",
        "0x10",
        "1_000",
        "\uff12",  # a full-width 2
        "\u0662",  # an Arabic one
        "2;3",
        "9" * 400,
        "Sat, 99 Nov 2026 12:00:30 GMT",
        "Sat, 21 Nov 99999999999 12:00:30 GMT",
        "\0",
    ],
)
def test_nonsense_is_ignored(value):
    """A wait that makes no sense is no wait."""
    assert parse_retry_after(value, NOW) is None


NUMBERS = st.integers(-1, 70) | st.integers(0, 10**12) | st.sampled_from(["", "x", "00", "9" * 20])
ZONES = st.sampled_from(["GMT", "EST", "", "-0000", "+9999", "-99999999", "+", "(", "+0000 (x"])
DATES = st.builds(
    "{}{}{} {} {} {}{}{} {}".format,
    st.sampled_from(["Sat, ", "Saturday, ", "Sat ", "", ","]),
    NUMBERS,
    st.sampled_from(["", "-"]),
    st.sampled_from(["Nov", "nov", "13", ""]),
    NUMBERS,
    NUMBERS,
    st.sampled_from([":", ".", "-", ""]),
    NUMBERS,
    ZONES,
)


@given(value=st.text() | st.from_regex(r"[0-9., :+-]*(GMT)?", fullmatch=True) | DATES)
@example("Sat, 21 Nov 2026 12:00:30 +9999")
@example("Sat, 21 Nov 2026 12:00:30 -9999999999")
@example("1 Jan 0000 00:00:00 GMT")
@example("31 Dec 9999 23:59:59 -2359")
def test_any_text_is_a_wait_or_nothing(value):
    """Neither an error, nor a negative or endless wait."""
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(seconds=st.integers(min_value=0, max_value=10**9))
def test_a_date_says_the_same_as_its_seconds(seconds):
    """Both forms lead to the same wait."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(date, NOW) == parse_retry_after(str(seconds), NOW) == seconds


@given(value=st.binary(max_size=30) | DATES.map(str.encode))
@example(b"\xff")
@example(b"5\r\nRetry-After: 6")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_bytes_of_a_server_are_a_wait_or_nothing(make_client, raw_server, value):
    """Unless they are no header, which is no response either."""
    head = b"HTTP/1.1 429 Later\r\ncontent-length: 0\r\nRetry-After: " + value + b"\r\n\r\n"
    server = await raw_server(respond_with(head))
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        error = await raised(OpenRouterError, client.files.retrieve, "x")
    if not isinstance(error, NoAnswerError):
        assert type(error) is TooManyRequestsResponseError
        seconds = error.retry_after
        assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


async def test_of_two_headers_the_longer_wait_counts(make_client, raw_server):
    """Both are meant: a proxy may have added one."""
    throttled = http_response(429, b"", "Retry-After: 2", "Retry-After: 3")
    server = await raw_server(respond_with(throttled))
    async with make_client(KEY, server_url=server.url, retries=RetryConfig.none()) as client:
        error = await raised(TooManyRequestsResponseError, client.files.retrieve, "x")
    assert error.retry_after == 3


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "60"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "60"}, 60),
        ({"retry-after": "2", "x-ratelimit-reset": "1795262430"}, 2),
        ({"x-ratelimit-reset": "1795262430"}, 30),
        ({"x-ratelimit-reset": "1795262430000"}, 30),
        ({"x-ratelimit-reset": "1795262000"}, 0),
        ({"x-ratelimit-reset": "7"}, 7),
        ({"x-ratelimit-reset": "soon"}, None),
    ],
)
def test_each_header_that_asks_to_wait_is_understood(headers, seconds):
    """The vendor's own first, the reset last; by the server's clock."""
    date = {"date": format_datetime(NOW, usegmt=True)}
    assert wait_from(headers | date, throttled=True) == seconds


def test_a_reset_counts_for_429_alone():
    """Other responses carry it, too."""
    assert wait_from({"x-ratelimit-reset": "7"}, throttled=False) is None


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_date_is_compared_with_the_responses_own(hours):
    """The server's clock may be wrong by any amount."""
    now = datetime.now(UTC) + timedelta(hours=hours)
    headers = {
        "date": format_datetime(now, usegmt=True),
        "retry-after": format_datetime(now + timedelta(seconds=2), usegmt=True),
    }
    assert wait_from(headers, throttled=True) == 2


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_a_date_without_a_zone_is_gmt(zone, monkeypatch):
    """Wherever this machine is: the asctime form has none."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_http_date("Sat Nov 21 12:00:00 2026") == NOW
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("date", ["Sat, 21 Nov 9999 12:00:00 GMT", "Mon, 01 Jan 1601 00:00:00 GMT"])
def test_a_date_of_another_age_is_no_clock(date):
    """It is a mistake, and calculating with it could overflow."""
    assert parse_clock(date) is None
