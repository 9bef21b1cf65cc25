"""Fault rules."""

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from openrouter_async.emulator import Emulator, Fault
from openrouter_async.emulator.api import files

from .conftest import Upload, error_of


def statuses(http: httpx.Client, count: int, path: str = "/files") -> list[int]:
    """Return the statuses of a number of requests."""
    return [http.get(path).status_code for _ in range(count)]


def test_a_status_replaces_the_operation(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    """Once, with the documented message, after the body was read."""
    emulator.faults(Fault(operation="upload_file", status=429, retry_after=3))
    response = upload(content=b"some words")
    assert error_of(response) == (429, "Rate limit exceeded")
    assert response.headers["retry-after"] == "3"
    assert http.get("/files").json()["data"] == []
    assert upload().is_success
    first, _, second = emulator.requests()
    assert first["upload"] == second["upload"]
    assert first["fault"] == {"operation": "upload_file", "status": 429, "retry_after": 3}


@pytest.mark.parametrize(
    ("rule", "content", "content_type"),
    [
        (
            {"status": 500, "message": "boo"},
            b'{"error":{"code":500,"message":"boo"}}',
            "application/json",
        ),
        ({"status": 418}, b'{"error":{"code":418,"message":"I\'m a Teapot"}}', "application/json"),
        ({"status": 599}, b'{"error":{"code":599,"message":"Unknown error"}}', "application/json"),
        ({"status": 502, "body": ""}, b"", "application/json"),
        ({"status": 200, "body": "null"}, b"null", "application/json"),
        (
            {"status": 502, "body": "<html>", "headers": {"Content-Type": "text/html"}},
            b"<html>",
            "text/html",
        ),
        ({"status": 204}, b"", None),
    ],
)
def test_status_message_headers_and_body_can_be_set(
    http: httpx.Client,
    emulator: Emulator,
    rule: dict[str, Any],
    content: bytes,
    content_type: str | None,
) -> None:
    emulator.faults({"operation": "list_files", **rule})
    response = http.get("/files")
    assert (response.status_code, response.content) == (rule["status"], content)
    assert response.headers.get("content-type") == content_type


def test_any_header_can_be_set(http: httpx.Client, emulator: Emulator) -> None:
    """Such as those of a redirect or a rate limit."""
    headers = {"Location": "/elsewhere", "X-RateLimit-Reset": "7"}
    emulator.faults({"status": 302, "headers": headers})
    assert http.get("/files").headers.items() >= {k.lower(): v for k, v in headers.items()}.items()


def test_retry_after_can_be_any_text(http: httpx.Client, emulator: Emulator) -> None:
    """A fraction, a date, an invalid value."""
    values: list[str | float] = [0.5, "Wed, 21 Oct 2026 07:28:00 GMT", "soon"]
    emulator.faults(*(Fault(status=503, retry_after=value) for value in values))
    assert [http.get("/files").headers["retry-after"] for _ in values] == [str(v) for v in values]


def test_a_rule_applies_to_times_requests_after_skip_requests(
    http: httpx.Client, emulator: Emulator
) -> None:
    emulator.faults({"operation": "list_files", "status": 500, "skip": 1, "times": 2})
    assert http.get("/workspaces").is_success
    assert statuses(http, 5) == [200, 500, 500, 200, 200]
    (rule,) = emulator.fault_status()
    assert (rule["seen"], rule["met"]) == (5, 2)


def test_a_rule_without_times_applies_until_it_is_replaced(
    http: httpx.Client, emulator: Emulator
) -> None:
    emulator.faults({"status": 500, "times": None})
    assert statuses(http, 3) == [500, 500, 500]
    emulator.faults()
    assert statuses(http, 1) == [200]


def test_only_the_first_matching_rule_applies(http: httpx.Client, emulator: Emulator) -> None:
    emulator.faults(
        Fault(operation="list_workspaces", status=500), Fault(status=502), Fault(status=503)
    )
    assert statuses(http, 3) == [502, 503, 200]
    assert statuses(http, 1, "/workspaces") == [500]
    assert [rule["met"] for rule in emulator.fault_status()] == [1, 1, 1]


def test_a_rule_for_any_operation_applies_to_unknown_paths_too(
    http: httpx.Client, emulator: Emulator
) -> None:
    emulator.faults(Fault(status=500))
    assert statuses(http, 2, "/credits") == [500, 404]


def test_a_seed_selects_the_same_requests_each_time(http: httpx.Client, emulator: Emulator) -> None:
    rule = Fault(status=500, probability=0.5, seed=7, times=None)
    emulator.faults(rule)
    first = statuses(http, 20)
    emulator.faults(rule)
    assert statuses(http, 20) == first
    assert 4 < first.count(500) < 16


def test_a_rule_with_probability_0_never_applies(http: httpx.Client, emulator: Emulator) -> None:
    emulator.faults(Fault(status=500, probability=0, times=None))
    assert statuses(http, 3) == [200, 200, 200]


@pytest.mark.parametrize("extra", [{}, {"early": True}, {"status": 503}])
def test_a_delay_postpones_the_response(
    http: httpx.Client, emulator: Emulator, upload: Upload, extra: dict[str, Any]
) -> None:
    """Before or after the body is read; alone, or with another fault."""
    emulator.faults({"operation": "upload_file", "delay": 0.2, **extra})
    started = time.monotonic()
    response = upload()
    assert time.monotonic() - started >= 0.2
    assert response.status_code == extra.get("status", 200)
    assert len(http.get("/files").json()["data"]) == response.is_success


def test_an_early_response_is_sent_before_the_body_is_read(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    """The connection remains usable."""
    emulator.faults(Fault(status=413, early=True))
    assert upload(content=b"x" * 90_000).status_code == 413
    assert http.get("/files").is_success
    assert emulator.requests()[0]["body_bytes"] == 0


def test_a_fault_applies_even_if_the_body_is_invalid(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    """Malformed or too large: it is read, and the rule's response sent."""
    emulator.faults(Fault(status=503, times=None))
    headers = {"Content-Type": "multipart/form-data; boundary=XX"}
    assert http.post("/files", content=b"--XX", headers=headers).status_code == 503
    assert upload(content=b"x" * 200_000).status_code == 503
    assert http.post("/files", content=b"abc").status_code == 503


def test_a_client_that_disconnects_early_gets_no_response(emulator: Emulator) -> None:
    emulator.faults(Fault(status=503))
    url = httpx.URL(emulator.base_url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
    while emulator.fault_status()[0]["met"] == 0:
        time.sleep(0.01)
    assert emulator.requests()[0]["status"] is None


@pytest.mark.parametrize("early", [True, False])
def test_close_before_headers_closes_without_a_response(
    http: httpx.Client,
    emulator: Emulator,
    upload: Upload,
    early: bool,
) -> None:
    """The operation is not performed."""
    emulator.faults(Fault(close="before_headers", early=early))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        upload()
    assert http.get("/files").json()["data"] == []
    assert emulator.requests()[0]["status"] is None


@pytest.mark.parametrize("limit", [0, 30_000, 10**9])
def test_close_after_bytes_resets_while_the_body_is_sent(
    http: httpx.Client, emulator: Emulator, upload: Upload, limit: int
) -> None:
    """After that many bytes, or all that there are."""
    emulator.faults(Fault(operation="upload_file", close_after_bytes=limit))
    with pytest.raises(httpx.TransportError):
        upload(content=b"x" * 90_000)
    assert http.get("/files").json()["data"] == []
    entry = emulator.requests()[0]
    assert entry["status"] is None
    assert entry["body_bytes"] >= min(limit, 90_000)


@pytest.mark.parametrize(
    ("rule", "ending"),
    [({"close_after_bytes": 1}, ConnectionResetError), ({"close": "before_headers"}, None)],
)
def test_a_reset_and_a_close_differ_on_the_socket(
    emulator: Emulator, rule: dict[str, Any], ending: type[OSError] | None
) -> None:
    """One is TCP's RST, the other its FIN."""
    emulator.faults(rule)
    url = httpx.URL(emulator.base_url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
        if ending is None:
            assert connection.recv(100) == b""
        else:
            with pytest.raises(ending):
                connection.recv(100)


@pytest.mark.parametrize("limit", [0, 5])
def test_truncate_cuts_the_body_short(http: httpx.Client, emulator: Emulator, limit: int) -> None:
    """Content-Length still announces all of it."""
    made = emulator.create_file("a.bin", bytes(200_000))
    emulator.faults(Fault(operation="download_file", truncate=limit, times=None))
    received = 0

    def read() -> None:
        nonlocal received
        with http.stream("GET", f"/files/{made['id']}/content") as response:
            assert response.headers["content-length"] == "200000"
            for chunk in response.iter_raw():
                received += len(chunk)

    with pytest.raises(httpx.RemoteProtocolError):
        read()
    assert received == limit


@pytest.mark.parametrize("size", [200_000, 300_000])
def test_truncate_does_not_affect_shorter_bodies(
    http: httpx.Client, emulator: Emulator, size: int
) -> None:
    made = emulator.create_file("a.bin", bytes(200_000))
    emulator.faults(Fault(operation="download_file", truncate=size))
    assert len(http.get(f"/files/{made['id']}/content").content) == 200_000


def test_truncate_can_cut_a_later_chunk(
    http: httpx.Client, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent after the cut."""
    monkeypatch.setattr(files, "CHUNK_SIZE", 1000)
    made = emulator.create_file("a.bin", bytes(200_000))
    emulator.faults(Fault(operation="download_file", truncate=1500))
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(f"/files/{made['id']}/content")


def test_drop_answer_performs_the_operation_without_a_response(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    emulator.faults(Fault(operation="upload_file", drop_answer=True))
    with pytest.raises(httpx.RemoteProtocolError):
        upload("kept.txt")
    (kept,) = http.get("/files").json()["data"]
    assert kept["filename"] == "kept.txt"
    assert emulator.requests()[0]["status"] is None


def test_a_delayed_drop_lets_the_client_time_out(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    """The file is stored."""
    emulator.faults(Fault(operation="upload_file", drop_answer=True, delay=5))
    with pytest.raises(httpx.ReadTimeout):
        http.post("/files", files={"file": ("a.txt", b"abc")}, timeout=0.3)
    deadline = time.monotonic() + 5
    while not http.get("/files").json()["data"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(http.get("/files").json()["data"]) == 1


def test_repeat_cursor_returns_the_same_page_and_cursor_each_time(
    http: httpx.Client, emulator: Emulator, upload: Upload
) -> None:
    emulator.faults(Fault(operation="list_files", repeat_cursor=True, times=None))
    empty = http.get("/files").json()
    assert (empty["data"], empty["has_more"], bool(empty["cursor"])) == ([], True, True)
    upload()
    page = http.get("/files").json()
    again = http.get("/files", params={"cursor": page["cursor"]}).json()
    assert page == again
    assert (page["has_more"], len(page["data"])) == (True, 1)


@pytest.mark.parametrize(
    ("rule", "expected_message"),
    [
        ("not a rule", "must be a Fault or an object of its fields, not 'not a rule'"),
        ({}, "the rule does nothing"),
        (
            {"status": 500, "extra": 1, "other": 2},
            "no such field: extra, other; there are operation, times,",
        ),
        ({"operaton": "*", "status": 500}, "no such field: operaton; did you mean operation?"),
        ({"status_code": 500}, "no such field: status_code; did you mean status?"),
        ({"operation": "fly", "status": 500}, "operation: must be * or one of add_members"),
        ({"operation": ["x"], "status": 500}, "operation: must be * or one of add_members"),
        ({"status": 100}, "'status' must be >= 200"),
        ({"status": 600}, "'status' must be <= 599"),
        ({"status": "500"}, "status: must be int, not '500'"),
        ({"status": True}, "status: must be int, not True"),
        ({"status": 500, "times": 0}, "'times' must be >= 1"),
        ({"status": 500, "skip": -1}, "'skip' must be >= 0"),
        ({"status": 500, "probability": 2}, "'probability' must be <= 1"),
        ({"status": 500, "seed": "x"}, "seed: must be int"),
        ({"status": 500, "headers": ["x"]}, "headers: must be an object"),
        ({"status": 500, "headers": {"x": "a\r\nb"}}, "headers: HTTP cannot carry 'x'"),
        ({"status": 500, "headers": {"x y": "a"}}, "headers: HTTP cannot carry 'x y'"),
        ({"status": 500, "headers": {"x": 1}}, "headers: HTTP cannot carry 'x'"),
        ({"status": 500, "headers": {5: "x"}}, "headers: a name must be a string, not 5"),
        ({"status": 500, "headers": {"Content-Length": "1"}}, "headers: Content-Length belongs"),
        ({"status": 500, "retry_after": "1\n2"}, "retry_after: HTTP cannot carry"),
        ({"status": 500, "retry_after": []}, "retry_after: must be str or int or float"),
        ({"message": "x"}, "headers, retry_after, message, body need a status"),
        ({"body": "x", "delay": 1}, "headers, retry_after, message, body need a status"),
        ({"delay": -1}, "'delay' must be >= 0"),
        ({"close": "after"}, "close: must be before_headers, not 'after'"),
        ({"close": "before_headers", "status": 500}, "close, close_after_bytes and status exclude"),
        ({"close_after_bytes": -1}, "'close_after_bytes' must be >= 0"),
        ({"truncate": 1.5}, "truncate: must be int, not 1.5"),
        ({"drop_answer": 1}, "drop_answer: must be bool, not 1"),
        (
            {"operation": "list_members", "repeat_cursor": True},
            "repeat_cursor: list_members has no",
        ),
    ],
)
def test_an_invalid_rule_is_refused_and_the_active_rules_stay(
    emulator: Emulator, rule: object, expected_message: str
) -> None:
    emulator.faults(Fault(status=500))
    if isinstance(rule, Mapping):
        with pytest.raises(ValueError, match=r"^rules\[1\]: ") as caught:
            emulator.faults(Fault(status=502), rule)
        assert str(caught.value).removeprefix("rules[1]: ").startswith(expected_message)
    else:
        with pytest.raises(ValueError, match=f"^{expected_message}"):
            Fault.from_json(rule)
    assert [rule["status"] for rule in emulator.fault_status()] == [500]


@pytest.mark.parametrize("rules", [[{"status": 500}], [Fault(status=500)], ({"status": 500},), []])
def test_a_list_of_rules_as_one_argument_is_refused_with_the_right_call(
    emulator: Emulator, rules: Any
) -> None:
    with pytest.raises(ValueError, match=r"^rules\[0\]: must be a Fault .*: faults\(\*rules\)$"):
        emulator.faults(rules)
    emulator.faults(*rules)
    assert len(emulator.fault_status()) == len(rules)


@pytest.mark.parametrize("rule", ["x" * 1000, 5, None, Fault, {"x" * 1000: 1}, {5: 1}])
def test_the_message_about_a_wrong_rule_is_short(emulator: Emulator, rule: Any) -> None:
    with pytest.raises(ValueError, match=r"^rules\[0\]: ") as caught:
        emulator.faults(rule)
    assert len(str(caught.value)) < 400


def test_a_rule_survives_json() -> None:
    """Fields with their default are omitted."""
    rule = Fault(operation="list_files", status=503, headers={"x": "y"}, times=None, delay=1)
    assert rule.to_json() == {
        "operation": "list_files",
        "status": 503,
        "headers": {"x": "y"},
        "times": None,
        "delay": 1,
    }
    assert Fault.from_json(rule.to_json()) == rule


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault(status=99),
        Fault,
        lambda: Fault(status=500, times=0),
        lambda: Fault(close="after"),
    ],
)
def test_a_rule_is_validated_when_it_is_created(make: Callable[[], Fault]) -> None:
    """Not only when it reaches the emulator."""
    with pytest.raises(ValueError, match=r"status|nothing|times|close") as caught:
        make()
    assert len(caught.value.args) == 1
