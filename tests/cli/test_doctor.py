import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme
from support.cli_runner import TERMINAL
from support.tls import server_context, trusted

from openrouter_async import __version__

doctor_module = sys.modules["openrouter_async.cli.doctor"]  # the function has the same name

KEY = "sk-or-v1-do-not-show"


@pytest.fixture
def diagnose(cli):
    """Runs ``doctor``, and returns its exit status and the status and detail of each check."""

    def run(**env):
        result = cli("doctor", "--json", **env)
        assert "do-not-show" not in result.output
        results = [json.loads(line) for line in result.stdout.splitlines()]
        assert all(row.keys() == {"check", "status", "detail"} for row in results)
        return result.exit_code, {row["check"]: (row["status"], row["detail"]) for row in results}

    return run


def statuses(checks):
    return {name: status for name, (status, _) in checks.items()}


def test_every_check_passes_with_a_management_key(diagnose, emulator):
    """The kind of key is named."""
    status, checks = diagnose()
    assert status == 0
    assert statuses(checks) == {
        "versions": "ok",
        "server": "ok",
        "key": "ok",
        "tls": "not checked",
        "reachable": "ok",
        "files": "ok",
        "key kind": "ok",
    }
    assert f"openrouter_async {__version__}" in checks["versions"][1]
    assert "httpx " in checks["versions"][1]
    assert checks["server"][1] == emulator.base_url
    assert checks["key kind"][1].startswith("management")


def test_ordinary_key_is_ok(diagnose, emulator):
    """It just cannot manage workspaces."""
    status, checks = diagnose(OPENROUTER_API_KEY=emulator.api_key)
    assert (status, checks["key kind"][0]) == (0, "ok")
    assert checks["key kind"][1].startswith("ordinary")


@pytest.mark.parametrize("key", [None, "  ", "sk-or-v1-do-not-show\u20ac"])
def test_missing_or_invalid_key_is_an_authentication_error(diagnose, key):
    """The connection to the server is checked nevertheless."""
    status, checks = diagnose(OPENROUTER_API_KEY=key)
    assert status == 3
    assert checks["key"][0] == "failed"
    assert checks["reachable"][0] == "ok"
    assert statuses(checks)["files"] == statuses(checks)["key kind"] == "not checked"


def test_refused_key_is_an_authentication_error(diagnose):
    """With the server's message."""
    status, checks = diagnose(OPENROUTER_API_KEY=KEY)
    assert status == 3
    assert checks["files"][0] == "failed"
    assert "401" in checks["files"][1]


def test_unreachable_server_fails(diagnose):
    """The later checks are skipped."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        status, checks = diagnose(OPENROUTER_BASE_URL=url)
    assert status == 1
    assert checks["reachable"][0] == "failed"
    assert statuses(checks)["files"] == "not checked"


def test_invalid_server_url_fails(diagnose):
    """The message names the variable, and nothing is sent."""
    status, checks = diagnose(OPENROUTER_BASE_URL="http://example.com")
    assert status == 1
    assert checks["server"] == (
        "failed",
        (
            "OPENROUTER_BASE_URL must be https, unless its host is loopback: 'http://example.com';"
            " to send the key unencrypted, set OPENROUTER_ALLOW_INSECURE=1"
        ),
    )
    assert "reachable" not in checks


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Log nothing."""


@pytest.fixture
def secure():
    """The URL of a TLS server with a certificate of the tests' authority; it refuses all keys."""
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.handle_error = lambda *_: None  # a client that does not trust it hangs up
        server.socket = server_context().wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_trusted_certificate_is_ok(diagnose, secure, tmp_path):
    """Even if the key is refused."""
    with trusted(tmp_path):
        status, checks = diagnose(OPENROUTER_BASE_URL=secure)
    assert status == 3
    assert statuses(checks)["tls"] == statuses(checks)["reachable"] == "ok"


def test_untrusted_certificate_fails(diagnose, secure, tmp_path):
    """It is distinguished from an unreachable server."""
    with trusted(tmp_path, trustme.CA(key_type=trustme.KeyType.ECDSA)):
        status, checks = diagnose(OPENROUTER_BASE_URL=secure)
    assert status == 1
    assert statuses(checks)["tls"] == statuses(checks)["reachable"] == "failed"


def test_error_response_fails(diagnose, emulator):
    """With the service's message; the kind of key remains unknown."""
    emulator.faults(
        {"operation": "list_files", "status": 500, "message": "Out of order"},
        {"operation": "get_current_key", "status": 500},
    )
    status, checks = diagnose()
    assert status == 1
    assert "Out of order" in checks["files"][1]
    assert statuses(checks)["key kind"] == "not checked"


def test_missing_package_is_listed_if_it_is_required(diagnose, monkeypatch):
    """Optional packages may be missing."""
    monkeypatch.setattr(doctor_module, "_REQUIRED", ("nonsense",))
    monkeypatch.setattr(doctor_module, "_OPTIONAL", ("rubbish",))
    _, checks = diagnose()
    assert "nonsense missing" in checks["versions"][1]
    assert "rubbish" not in checks["versions"][1]


def test_checks_are_a_table_on_a_terminal(cli):
    """One line for each check."""
    result = cli("doctor", **TERMINAL)
    assert "reachable" in result.stdout
    assert "management: files and workspaces" in result.stdout
