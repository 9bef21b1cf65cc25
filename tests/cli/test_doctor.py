import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme
from support.tls import server_context, trusted

from openrouter_async import __version__

doctor_module = sys.modules["openrouter_async.cli.doctor"]  # the function has the same name

KEY = "sk-or-v1-do-not-show"


@pytest.fixture
def examine(cli):
    """Runs ``doctor``: the exit status, and the status and details of each check."""

    def running(**env):
        result = cli("doctor", "--json", **env)
        assert "do-not-show" not in result.output
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert all(row.keys() == {"check", "status", "detail"} for row in found)
        return result.exit_code, {row["check"]: (row["status"], row["detail"]) for row in found}

    return running


def statuses(checks):
    return {name: status for name, (status, _) in checks.items()}


def test_all_is_well(examine, emulator):
    """With a management key, which is called so."""
    status, checks = examine()
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


def test_ordinary_key_is_called_so(examine, emulator):
    """It is in order; it only cannot reach workspaces."""
    status, checks = examine(OPENROUTER_API_KEY=emulator.api_key)
    assert (status, checks["key kind"][0]) == (0, "ok")
    assert checks["key kind"][1].startswith("ordinary")


@pytest.mark.parametrize("key", [None, "  ", "sk-or-v1-do-not-show\u20ac"])
def test_missing_or_broken_key(examine, key):
    """Status 3; whether the server is there is found out all the same."""
    status, checks = examine(OPENROUTER_API_KEY=key)
    assert status == 3
    assert checks["key"][0] == "failed"
    assert checks["reachable"][0] == "ok"
    assert statuses(checks)["files"] == statuses(checks)["key kind"] == "not checked"


def test_refused_key(examine):
    """Status 3, and the server's words."""
    status, checks = examine(OPENROUTER_API_KEY=KEY)
    assert status == 3
    assert checks["files"][0] == "failed"
    assert "401" in checks["files"][1]


def test_server_that_is_not_there(examine):
    """Status 1, and where it was looked for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        status, checks = examine(OPENROUTER_BASE_URL=url)
    assert status == 1
    assert checks["reachable"][0] == "failed"
    assert statuses(checks)["files"] == "not checked"


def test_server_that_cannot_be_right(examine):
    """It names the variable, and nothing is tried."""
    status, checks = examine(OPENROUTER_BASE_URL="http://example.com")
    assert status == 1
    assert checks["server"] == (
        "failed",
        "OPENROUTER_BASE_URL must be https, unless its host is loopback: 'http://example.com'",
    )
    assert "reachable" not in checks


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing is logged."""


@pytest.fixture
def secure():
    """The URL of a server with a certificate of the tests' own authority; it takes no key."""
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.handle_error = lambda *_: None  # whoever does not trust it hangs up
        server.socket = server_context().wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_certificate_that_is_trusted(examine, secure, tmp_path):
    """TLS is in order, whatever becomes of the key."""
    with trusted(tmp_path):
        status, checks = examine(OPENROUTER_BASE_URL=secure)
    assert status == 3
    assert statuses(checks)["tls"] == statuses(checks)["reachable"] == "ok"


def test_certificate_that_is_not_trusted(examine, secure, tmp_path):
    """It is told apart from a server that is not there."""
    with trusted(tmp_path, trustme.CA(key_type=trustme.KeyType.ECDSA)):
        status, checks = examine(OPENROUTER_BASE_URL=secure)
    assert status == 1
    assert statuses(checks)["tls"] == statuses(checks)["reachable"] == "failed"


def test_service_that_fails_is_told(examine, emulator):
    """What it said, and that the kind of key could not be told."""
    emulator.faults(
        {"operation": "list_files", "status": 500, "message": "Out of order"},
        {"operation": "list_workspaces", "status": 500},
    )
    status, checks = examine()
    assert status == 1
    assert "Out of order" in checks["files"][1]
    assert statuses(checks)["key kind"] == "not checked"


def test_missing_package_is_told(examine, monkeypatch):
    """If it is needed; what is optional may be missing."""
    monkeypatch.setattr(doctor_module, "_NEEDED", ("nonsense",))
    monkeypatch.setattr(doctor_module, "_OPTIONAL", ("rubbish",))
    _, checks = examine()
    assert "nonsense missing" in checks["versions"][1]
    assert "rubbish" not in checks["versions"][1]


def test_table_for_people(cli):
    """A check in each line."""
    result = cli("doctor", FORCE_COLOR="1", TERM="xterm-256color")
    assert "reachable" in result.stdout
    assert "management: files and workspaces" in result.stdout
