"""The emulator serves only those with a key, and does only what it is asked for."""

import base64
import http.client
import json
import logging
import random
import re
import socket
import sqlite3
from contextlib import closing, suppress
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import pytest
from support.calls import ENDPOINTS

from openrouter_async import __version__
from openrouter_async.emulator import run_emulator
from openrouter_async.emulator.control.admin import ADMIN_ROUTES

KEY = "sk-or-v1-0123456789-not-to-be-seen"
PART = "not-to-be-seen"
FORM = "multipart/form-data; boundary=XX"
PLACES = {
    "file_id": "x",
    "workspace_id": "second",
    "interval": "daily",
    "container_id": "sess_x",
    "key_hash": "0" * 64,
}
"""What stands in paths."""
UUID = "00000000-0000-4000-8000-000000000000"
HEALTH = "/_emulator/health"
ADMIN = [
    (method, route.path)
    for route in ADMIN_ROUTES
    for method in sorted(route.methods - {"HEAD"})
    if route.path != HEALTH
]
API = [(e.method, f"/api/v1{e.path}") for e in ENDPOINTS.values()]


def form(filename="a.txt", content=b"words", head=b""):
    """A multipart body."""
    disposition = b'Content-Disposition: form-data; name="file"; filename="'
    name = filename if isinstance(filename, bytes) else filename.encode()
    return b"--XX\r\n" + head + disposition + name + b'"\r\n\r\n' + content + b"\r\n--XX--\r\n"


BODIES = {
    "UPLOAD_FILE": (form(), FORM),
    "CREATE_WORKSPACE": ({"name": "New", "slug": "new"}, None),
    "UPDATE_WORKSPACE": ({"name": "Changed"}, None),
    "SET_BUDGET": ({"limit_usd": 5}, None),
    "ADD_MEMBERS": ({"user_ids": ["user_def456"]}, None),
    "REMOVE_MEMBERS": ({"user_ids": ["user_def456"]}, None),
}
"""What an operation needs to be carried out; the others need nothing."""


class Door:
    """A plain connection to an emulator, which sends any request."""

    def __init__(self, emulator):
        self.emulator = emulator
        url = urlsplit(emulator.base_url)
        self.where = (url.hostname, url.port)
        self.connection = http.client.HTTPConnection(*self.where, timeout=10)

    def ask(self, method, target, headers=None, body=None):
        """Status, body and headers of the answer."""
        headers = {"Authorization": f"Bearer {self.emulator.management_key}"} | (headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = self.connection
        connection.putrequest(method, target, skip_host="Host" in headers)
        for name, value in headers.items():
            if value is not None:
                for one in value if isinstance(value, list) else [value]:
                    connection.putheader(name, one.encode("latin-1", "replace"))
        connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        with connection.getresponse() as answer:
            content = answer.read()
            if answer.will_close:
                connection.close()
            return answer.status, content, answer.headers

    def do(self, name, headers=None, **params):
        """Ask for an operation that would succeed, if it is let in."""
        endpoint = ENDPOINTS[name]
        path = endpoint.path.format_map(PLACES | {"workspace_id": "default"} | params)
        body, kind = BODIES.get(name, (None, None))
        headers = {"Content-Type": kind} | (headers or {}) if kind else headers
        return self.ask(endpoint.method, f"/api/v1{path}", headers, body)

    def raw(self, content):
        """Send bytes on a connection of their own, and read all that comes.

        Where nothing comes because more is waited for, the end is reported.
        """
        parts = []
        with socket.create_connection(self.where, timeout=0.3) as connection:
            with suppress(ConnectionError):  # it may be closed while more is sent
                connection.sendall(content)
            with suppress(ConnectionError):
                try:
                    parts += iter(lambda: connection.recv(65536), b"")
                except TimeoutError:
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(5)
                    parts += iter(lambda: connection.recv(65536), b"")
        return b"".join(parts)


@pytest.fixture
def door(emulator):
    """A way in to the empty emulator."""
    door = Door(emulator)
    with closing(door.connection):
        yield door


@pytest.fixture
def store(emulator, door):
    """What must not change: an uploaded file, a made one, a workspace; a function tells it all."""
    door.do("UPLOAD_FILE")
    emulator.create_file("made.txt", b"made")
    door.ask("POST", "/api/v1/workspaces", body={"name": "Second", "slug": "second"})
    emulator.create_file("hidden.txt", b"hidden", _workspace(door, "second")["id"])

    def everything():
        found = [door.ask("GET", "/api/v1/files")[1], door.ask("GET", "/api/v1/workspaces")[1]]
        second = _workspace(door, "second")["id"]
        found.append(door.ask("GET", f"/api/v1/files?workspace_id={second}")[1])
        for name in ("default", "second"):
            parts = (f"/api/v1/workspaces/{name}/{part}" for part in ("budgets", "members"))
            found += [door.ask("GET", part)[1] for part in parts]
        return found

    return everything


def _workspace(door, slug):
    return json.loads(door.ask("GET", f"/api/v1/workspaces/{slug}")[1])["data"]


# Who asks

STRANGERS = {
    "nobody": {"Authorization": None},
    "an empty header": {"Authorization": ""},
    "a scheme alone": {"Authorization": "Bearer"},
    "a scheme and blanks": {"Authorization": "Bearer    "},
    "an unknown key": {"Authorization": "Bearer sk-or-v1-nobody"},
    "no scheme": {"Authorization": "{key}"},
    "Basic": {"Authorization": "Basic {basic}"},
    "Basic with the key": {"Authorization": "Basic {key}"},
    "Token": {"Authorization": "Token {key}"},
    "no blank": {"Authorization": "Bearer{key}"},
    "a colon": {"Authorization": "Bearer:{key}"},
    "a comma": {"Authorization": "Bearer {key},"},
    "quotes": {"Authorization": 'Bearer "{key}"'},
    "half of the key": {"Authorization": "Bearer {half}"},
    "the key twice": {"Authorization": "Bearer {key}{key}"},
    "in capitals": {"Authorization": "Bearer {capitals}"},
    "a wildcard": {"Authorization": "Bearer *"},
    "SQL": {"Authorization": "Bearer ' OR 1=1 --"},
    "another header": {"Authorization": None, "X-Api-Key": "{key}"},
    "a proxy's header": {"Authorization": None, "Proxy-Authorization": "Bearer {key}"},
    "a cookie": {"Authorization": None, "Cookie": "Authorization=Bearer {key}; key={key}"},
    "first a stranger": {"Authorization": ["Bearer nobody", "Bearer {key}"]},
}


def introduced(headers, key):
    """The headers with the key in its place."""
    words = {
        "key": key,
        "half": key[: len(key) // 2],
        "capitals": key.upper(),
        "basic": base64.b64encode(f"user:{key}".encode()).decode(),
    }
    return {
        name: [one.format(**words) for one in value]
        if isinstance(value, list)
        else value and value.format(**words)
        for name, value in headers.items()
    }


@pytest.mark.parametrize("who", STRANGERS)
def test_no_operation_serves_a_stranger(emulator, door, store, who):
    """Requests without the key in its one form get a 401, and nothing happens."""
    before = store()
    for name in ENDPOINTS:
        headers = introduced(STRANGERS[who], emulator.management_key)
        status, body, _ = door.do(name, headers, workspace_id="second")
        assert (status, json.loads(body)["error"]["code"]) == (401, 401), name
        assert emulator.management_key.encode() not in body
    assert store() == before
    status, _, _ = door.ask("GET", f"/api/v1/files?key={emulator.api_key}", {"Authorization": None})
    assert status == 401


def test_an_ordinary_key_reaches_files_containers_and_itself_only(emulator, door, store):
    """All other operations are refused with 403, and nothing happens."""
    before = store()
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    for name, endpoint in ENDPOINTS.items():
        status = door.do(name, headers, workspace_id="second")[0]
        allowed = endpoint.path.startswith(("/files", "/containers/")) or endpoint.path == "/key"
        assert (status != 403) is allowed, name
        assert status != 401
        if name == "UPLOAD_FILE":
            before = store()
    assert store() == before


def test_no_key_sees_the_files_of_another_workspace(emulator, door, store):
    """By no id, no cursor and no name of a workspace; confined keys stay where they are."""
    second, home = _workspace(door, "second")["id"], _workspace(door, "default")["id"]
    emulator.add_key("sk-second", workspace_id=second)
    before = store()
    own, hidden = (json.loads(before[number])["data"][0]["id"] for number in (0, 2))
    for key, foreign, place in (
        (emulator.api_key, hidden, second),
        ("sk-second", own, home),
        (emulator.management_key, hidden, UUID),
    ):
        headers = {"Authorization": f"Bearer {key}"}
        for name in ("RETRIEVE_FILE", "DOWNLOAD_FILE", "DELETE_FILE"):
            assert door.do(name, headers, file_id=foreign)[0] == 404
            path = f"/api/v1{ENDPOINTS[name].path.format(file_id=foreign)}"
            for elsewhere in (place, UUID):
                target = f"{path}?workspace_id={elsewhere}"
                assert door.ask(ENDPOINTS[name].method, target, headers)[0] == 403
        plain = json.dumps({"cursor": foreign}).encode()
        cursor = base64.urlsafe_b64encode(plain).decode().rstrip("=")
        for start in (f"after={foreign}", f"after_id={foreign}", f"cursor={cursor}"):
            assert door.ask("GET", f"/api/v1/files?{start}", headers)[0] == 400
    assert store() == before


# From where

HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io:{port}",
    "evil.example@127.0.0.1:{port}",
    "127.0.0.1@evil.example:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1, evil.example",
    "localhost:{port}:evil.example",
    "0.0.0.0:{port}",
    "192.168.0.1",
    "169.254.169.254",
    "2130706433:{port}",
    "0x7f.1:{port}",
    "0177.0.0.1:{port}",
    "[::2]:{port}",
    "[::ffff:192.0.2.1]",
    "localhost%00.evil.example",
    "loc\xe1lhost",
    ":{port}",
    "",
]


@pytest.mark.parametrize("host", HOSTS)
def test_no_route_responds_to_another_host(emulator, door, store, host):
    """To which a web page could point its name (DNS rebinding); the admin routes neither."""
    before = store()
    admin = {"Authorization": f"Bearer {emulator.admin_token}"}
    named = {"Host": host.format(port=door.where[1])}
    for method, path in API + ADMIN:
        headers = named | (admin if "_emulator" in path else {})
        status, body, _ = door.ask(method, path.format_map(PLACES), headers)
        assert status == 421, (method, path)
        assert json.loads(body)["error"]["message"] == "The Host header names another machine"
    assert store() == before


def test_a_request_without_a_host_or_with_two_is_none(emulator, door):
    """As HTTP/1.1 has it, and none for a proxy to be asked for either."""
    for head in (
        "GET /api/v1/files HTTP/1.1\r\n",
        "GET /api/v1/files HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
        "GET http://evil.example/api/v1/files HTTP/1.1\r\nHost: evil.example\r\n",
        "GET http://localhost/api/v1/files HTTP/1.1\r\nHost: evil.example\r\n",
        "GET /api/v1/files HTTP/1.0\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n",
    ):
        key = f"Connection: close\r\nAuthorization: Bearer {emulator.management_key}\r\n\r\n"
        answer = door.raw((head + key).encode())
        assert re.match(rb"HTTP/1\.1 4\d\d ", answer), answer


ORIGINS = ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1", "file://"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_no_page_of_another_origin_is_let_in(emulator, door, store, origin):
    """No answer invites it, no preflight is granted; without the token it can arrange nothing."""
    before = store()
    for method, path in API + ADMIN:
        for sent, headers in ((method, {"Authorization": None}), ("OPTIONS", {})):
            asks = {"Origin": origin, "Access-Control-Request-Method": method} | headers
            # What a page can send without a preflight is no JSON, and has no key.
            status, _, answered = door.ask(sent, path, asks, b"{}")
            assert status in {401, 404, 405}, (sent, path)
            assert not [name for name in answered if name.lower().startswith("access-control")]
    assert store() == before


# The admin routes


@pytest.mark.parametrize("who", STRANGERS)
def test_no_admin_route_serves_a_stranger(emulator, door, store, who):
    """Only the token of its own is taken, as it is to be said."""
    before, faults = store(), emulator.fault_status()
    for method, path in ADMIN:
        headers = introduced(STRANGERS[who], emulator.admin_token)
        status, body, _ = door.ask(method, path, headers, {})
        assert status == 401, (method, path)
        assert emulator.admin_token.encode() not in body
    assert (store(), emulator.fault_status()) == (before, faults)


def test_the_health_check_needs_no_token_and_says_nothing_else(emulator):
    """It is the only admin route without one."""
    url = emulator.base_url.removesuffix("/api/v1") + HEALTH
    with urlopen(url) as response:
        assert json.load(response) == {"status": "ok", "version": __version__}
    assert len(ADMIN) == len(ADMIN_ROUTES) - 1


def test_no_api_key_opens_an_admin_route(emulator, door):
    """Not even the one that is for everything."""
    emulator.add_key(KEY, management=True)
    for key in (emulator.api_key, emulator.management_key, KEY):
        for method, path in ADMIN:
            assert door.ask(method, path, {"Authorization": f"Bearer {key}"}, {})[0] == 401
    assert (
        door.ask("GET", "/api/v1/files", {"Authorization": f"Bearer {emulator.admin_token}"})[0]
        == 401
    )


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "X-Forwarded-Host"]
)
@pytest.mark.parametrize("trusted", [None, "*"])
def test_no_header_says_where_a_request_is_from(monkeypatch, name, trusted):
    """Though the environment tells servers to believe all of them, as in containers it may."""
    address = _own_address()
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    with run_emulator(host="0.0.0.0", allow_remote=True) as emulator:
        token = {"Authorization": f"Bearer {emulator.admin_token}"}
        port = urlsplit(emulator.base_url).port
        with closing(http.client.HTTPConnection(address, port, timeout=10)) as connection:
            for value in ("127.0.0.1", "::1", "for=127.0.0.1", "localhost"):
                connection.request("GET", "/_emulator/requests", headers=token | {name: value})
                answer = connection.getresponse()
                assert (answer.status, b"only to this machine" in answer.read()) == (403, True)


def _own_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return probe.getsockname()[0]


# Paths

WAYS_ROUND = [
    "/api/v1/files/../../../_emulator/requests",
    "/api/v1/files/..%2f..%2f..%2f_emulator%2frequests",
    "/api/v1/files/%2e%2e/%2e%2e/%2e%2e/_emulator/requests",
    "//_emulator/requests",
    "/_emulator//requests",
    "/_emulator%2frequests",
    "/%5femulator/requests",
    "/./_emulator/requests",
    "/x/../_emulator/requests",
    "/_emulator/./requests",
    "/_emulator/requests/",
    "/_emulator/requests%00",
    "/_emulator/requests;x",
    "/_EMULATOR/requests",
    "\\_emulator\\requests",
    "/_emulator/requests?x=/api/v1/files",
    "/_emulator/requests%3fx",
]


@pytest.mark.parametrize("path", WAYS_ROUND)
def test_no_way_round_leads_to_the_admin_routes(emulator, door, path):
    """With an API key; whatever is there asks for the token, and the rest is not there."""
    door.ask("GET", "/api/v1/files")
    status, body, _ = door.ask("GET", path)
    assert status in {400, 401, 404}
    assert b"request_id" not in body


def ids_that_are_paths(folder):
    """Ids of files that could be read as the names of what lies on the disk."""
    for path in ("emulator.sqlite", "../emulator.sqlite", "../../etc/passwd", f"{folder}/x"):
        yield path
        yield quote(path, safe="")
        yield quote(quote(path, safe=""), safe="")
        yield path.replace("/", "\\")
        yield path.replace("../", "....//")
        yield path + "%00.txt"


def test_no_id_of_a_file_is_a_path(tmp_path):
    """What is stored under is named by the emulator: no other file can be read, or deleted."""
    (tmp_path / "x").write_text("secret")
    with run_emulator(data=tmp_path / "data") as emulator:
        door = Door(emulator)
        made = emulator.create_file("../made".replace("../", "") + ".txt", b"made")
        blobs = list((tmp_path / "data" / "blobs").iterdir())
        names = [path.name for path in (tmp_path / "data").rglob("*")]
        before = sorted(names)
        for file_id in [*ids_that_are_paths(tmp_path), *names, f"../blobs/{blobs[0].name}"]:
            for path in (file_id, f"{file_id}/content", quote(file_id, safe="") + "/content"):
                for method in ("GET", "DELETE"):
                    status, body, _ = door.ask(method, f"/api/v1/files/{path}")
                    assert status in {400, 404, 405}, (method, path)
                    assert b"secret" not in body
                    assert b"SQLite" not in body
        assert door.do("DOWNLOAD_FILE", file_id=made["id"])[1] == b"made"
        assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == before
        door.connection.close()
    assert (tmp_path / "x").read_text() == "secret"


# SQL

SQL = [
    "'",
    '"',
    "' OR '1'='1",
    "x'; DROP TABLE files; --",
    "x'); DELETE FROM workspaces; --",
    "' UNION SELECT digest, 1, 1, 1 FROM keys --",
    "%",
    "_",
    ":id",
    "?1",
    "\\",
    "a\0' OR 1=1 --",
    "1e999",
    "99999999999999999999",
    "\ud800",
    "x" * 5000,
]
QUERIES = ["limit", "cursor", "workspace_id", "provider", "after", "after_id", "before_id", "order"]
QUERIES += ["offset", "confirm_default_workspace_deletion"]
FIELDS = ["name", "slug", "description", "default_text_model", "default_image_model"]
FIELDS += ["default_provider_sort", "disabled_server_tools", "io_logging_api_key_ids"]
FIELDS += ["io_logging_sampling_rate", "is_data_discount_logging_enabled", "limit_usd"]
FIELDS += ["include_byok_in_budgets", "user_ids", "key", "user_id", "workspace_id", "management"]
ANY = {"name", "description", "default_text_model", "default_image_model"}


@pytest.mark.parametrize("text", SQL)
def test_no_text_is_read_as_sql(emulator, door, store, caplog, text):
    """In a path, a query, a field, a cursor, a name or a key: it is refused, or it is not there.

    Nothing fails inside, nothing is found that was not meant, and nothing changes.
    """
    before, encoded = store(), quote(text, safe="", errors="surrogatepass")
    asked = list(_questions(text, encoded))
    for method, target, headers, body in asked:
        status, answer, _ = door.ask(method, target, headers, body)
        assert status < 500, (method, target, answer)
        if method != "GET":
            assert status >= 400, (method, target, answer)
        elif status == 200:  # a parameter that it does not look at
            assert answer in before or json.loads(answer)["data"] == [], target
    assert store() == before
    assert "failed" not in caplog.text
    # What may be any text is any text, and stays what it is.
    if "\ud800" not in text and len(text) < 100:
        body = {"name": text, "description": text, "default_text_model": text}
        status, answer, _ = door.ask("PATCH", "/api/v1/workspaces/second", body=body)
        assert status == 200
        assert {**_workspace(door, "second"), **body} == _workspace(door, "second")
    assert store()[0] == before[0]


def _questions(text, encoded):
    """Requests that hold the text, each in another place."""
    for endpoint in ENDPOINTS.values():
        for name in re.findall(r"\{(\w+)\}", endpoint.path):
            params = PLACES | {name: encoded}
            yield (
                endpoint.method,
                f"/api/v1{endpoint.path.format_map(params)}",
                {},
                {"limit_usd": 5},
            )
    for path in ("files", "workspaces", "workspaces/second/members"):
        for name in QUERIES:
            yield "GET", f"/api/v1/{path}?{name}={encoded}", {}, None
    yield "GET", f"/api/v1/files?{encoded}={encoded}", {}, None
    cursor = base64.urlsafe_b64encode(json.dumps({"cursor": text}).encode()).decode().rstrip("=")
    yield "GET", f"/api/v1/files?cursor={cursor}", {}, None
    for name in FIELDS:
        # Some may be any text, which is looked at below; and a slug is one that may be one.
        fits = name == "slug" and re.fullmatch("[a-z0-9]+", text)
        if not fits and name not in ANY:
            body = {"name": "New", "slug": "second", name: text, text: text}
            yield "POST", "/api/v1/workspaces", {}, body
            yield "PUT", "/api/v1/workspaces/second/budgets/daily", {}, {"limit_usd": text}
    for path in ("add", "remove"):
        yield "POST", f"/api/v1/workspaces/nowhere/members/{path}", {}, {"user_ids": [text]}
    yield "POST", "/api/v1/workspaces/second/members/add", {}, {"user_ids": [text]}
    if not set(text) & {"\ud800", "\0"}:
        key = {"Authorization": f"Bearer {text}"}
        yield "DELETE", "/api/v1/workspaces/second", key, None
    broken = f"x/../{text}/".encode("utf-8", "surrogatepass")
    yield "POST", "/api/v1/files", {"Content-Type": FORM}, form(broken)


def test_a_key_is_no_sql_and_no_text_of_the_store(tmp_path):
    """It is kept as a digest: no file of the emulator's holds it, and no answer, and no log."""
    sly = f"{KEY}' OR 1=1 --"
    with run_emulator(data=tmp_path) as emulator:
        emulator.add_key(sly)
        emulator.add_key(KEY)
        door = Door(emulator)
        for key, status in ((sly, 200), (KEY, 200), (f"{KEY}' OR 1=1", 401)):
            assert door.ask("GET", "/api/v1/files", {"Authorization": f"Bearer {key}"})[0] == status
        door.connection.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if PART.encode() in path.read_bytes()]
    with closing(sqlite3.connect(next(tmp_path.glob("*.sqlite*")))) as db:
        assert db.execute("SELECT count(*) FROM keys").fetchone() == (2,)


def test_no_request_log_holds_a_key(emulator, door, caplog):
    """Right or wrong, of whatever scheme, in a header that is for keys; and no library's log."""
    caplog.set_level(logging.DEBUG)
    emulator.add_key(KEY)
    for headers in STRANGERS.values():
        for name in ("LIST_FILES", "UPLOAD_FILE", "CREATE_WORKSPACE"):
            door.do(name, introduced(headers, KEY))
    door.do("UPLOAD_FILE", {"Authorization": f"Bearer {KEY}"})
    emulator.faults({"status": 500})
    door.do("LIST_FILES", {"Authorization": f"Bearer {KEY}"})
    for end in ("\x7f", "\x80", " x", "\t", "\xa0"):
        door.do("LIST_FILES", {"Authorization": f"Bearer {KEY}{end}"})
    log = json.dumps(emulator.requests())
    assert log.count("[redacted]") > len(STRANGERS)
    assert PART not in log + caplog.text


# Bodies


def whole(body, kind=FORM, **headers):
    """A raw request of an upload."""
    head = {"Host": "localhost", "Connection": "close", "Content-Type": kind}
    head |= {"Content-Length": len(body)} | headers
    lines = [f"{name}: {value}" for name, value in head.items() if value is not None]
    return "\r\n".join(["POST /api/v1/files HTTP/1.1", *lines, "", ""]).encode() + body


MANY = b"".join(b"X-%d: y\r\n" % number for number in range(5000))
MALFORMED = {
    "no end": form()[:-6],
    "no beginning": form()[4:],
    "nothing": b"",
    "only an end": b"--XX--\r\n",
    "another boundary": form().replace(b"XX", b"YY"),
    "a header without a colon": form(head=b"nonsense\r\n"),
    "a header with a NUL": form(head=b"X-\0: y\r\n"),
    "a bare CR": form(head=b"X-A: b\rc\r\n"),
    "a header without an end": b"--XX\r\nContent-Disposition: form-data" + b"x" * 70_000,
    "headers by the thousand": form(head=MANY)[:-6],
    "a long header": form(head=b"X: " + b"y" * 100_000 + b"\r\n")[:-6],
    "a long name": form("x" * 100_000),
    "two parts": form()[:-8] + b"\r\n" + form(),
    "parts by the thousand": form()[:-8] * 2000 + form(),
    "a name that is a path": form("../../../tmp/evil"),
    "an absolute name": form("/etc/passwd"),
    "a name with a NUL": form(b"a\0.txt"),
    "a name that is no UTF-8": form(b"\xff\xfe.txt"),
    "a name with a line break": form("a%0D%0AX-Injected: 1"),
    "two names": form('a.txt"; filename="../evil'),
    "no name": form(b'" x="'),
    "a transfer encoding": form(head=b"Content-Transfer-Encoding: base64\r\n")[:-6],
}


@pytest.fixture(scope="module")
def small():
    """An emulator with small limits, which none of what comes may bring down."""
    with run_emulator(max_file_bytes=10_000, quota_bytes=20_000) as running:
        yield running


@pytest.fixture
def small_door(small):
    small.reset()
    door = Door(small)
    with closing(door.connection):
        yield door


@pytest.mark.parametrize("kind", MALFORMED)
def test_no_malformed_body_is_stored(small, small_door, kind):
    """It is refused in JSON, with a connection that is closed or of use."""
    body = MALFORMED[kind]
    key = {"Authorization": f"Bearer {small.management_key}"}
    answer = small_door.raw(whole(body, **key))
    assert re.match(rb"HTTP/1\.1 4\d\d ", answer), answer[:200]
    assert b"Traceback" not in answer
    _check_empty(small, small_door)


def test_no_body_cut_or_changed_anywhere_harms(small, small_door, caplog):
    """At every byte: what is stored is one file with a good name; and nothing fails inside."""
    body = form("folder/a.txt", b"words", head=b"X-A: b\r\n")
    rng = random.Random(7)
    bodies = [body[:position] for position in range(len(body))]
    for position in range(len(body)):
        changes = (bytes([byte]) for byte in (0, 13, 34, rng.randrange(256)))
        bodies += [body[:position] + change + body[position + 1 :] for change in changes]
    stored = []
    for one in bodies:
        status, answer, _ = small_door.ask("POST", "/api/v1/files", {"Content-Type": FORM}, one)
        assert status in {200, 400}, (one, answer)
        if status == 200:
            stored.append(json.loads(answer))
            small_door.do("DELETE_FILE", file_id=stored[-1]["id"])
    assert len(bodies) > len(stored) > 0
    for file in stored:
        assert not set(file["filename"]) & set('\0\r\n"\\<>:|?*')
        assert not {"", ".", ".."} & set(file["filename"].split("/"))
    assert "failed" not in caplog.text
    _check_empty(small, small_door)


def _check_empty(small, door):
    assert json.loads(door.ask("GET", "/api/v1/files")[1])["data"] == []
    small.create_file("next.txt", b"next")
    assert len(json.loads(door.ask("GET", "/api/v1/files")[1])["data"]) == 1


OVERSIZE = {
    "a file": (form(content=b"x" * 10_001), {}),
    "a file by far": (form(content=b"x" * 5_000_000), {}),
    "more than announced": (form() + b"x" * 100_000, {"Content-Length": len(form())}),
    "less than announced": (form(), {"Content-Length": 10**12}),
    "an announced length": (b"", {"Content-Length": 10**30}),
    "a negative length": (form(), {"Content-Length": -1}),
    "two lengths": (form(), {"Content-Length": 5, "content-length": 6}),
    "a length and chunks": (form(), {"Transfer-Encoding": "chunked"}),
    "chunks of no size": (
        b"zz\r\n" + form(),
        {"Content-Length": None, "Transfer-Encoding": "chunked"},
    ),
    "a chunk without end": (
        b"f" * 17 + b"\r\n" + form(),
        {"Content-Length": None, "Transfer-Encoding": "chunked"},
    ),
    "a long request line": (b"", {"X": "y" * 200_000}),
    "a long boundary": (form(), {"Content-Type": FORM + "X" * 5000}),
}


@pytest.mark.parametrize("kind", OVERSIZE)
def test_no_oversize_body_is_stored(small, small_door, kind):
    """However it is announced; and no second request is found in it."""
    body, headers = OVERSIZE[kind]
    key = {"Authorization": f"Bearer {small.management_key}"}
    answer = small_door.raw(whole(body, **key, **headers))
    stored = json.loads(small_door.ask("GET", "/api/v1/files")[1])["data"]
    assert answer.count(b"HTTP/1.1 ") <= 2
    assert len(stored) <= (kind == "more than announced")
    assert (b"HTTP/1.1 200" in answer) is bool(stored)
    assert len([r for r in small.requests() if r["operation"] == "upload_file"]) <= 1


def test_no_document_is_read_beyond_its_limit(small, small_door):
    """Nor one that is deep, or holds numbers that take long to read."""
    for body in (
        b'{"name": "' + b"x" * 2_000_000 + b'"}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"name": ' + b"9" * 100_000 + b"}",
        b'{"name": "\\ud800", "slug": "new"}',
        b"\xff\xfe{}",
    ):
        for method, path in (("POST", "workspaces"), ("PATCH", "workspaces/default")):
            kind = {"Content-Type": "application/json"}
            assert small_door.ask(method, f"/api/v1/{path}", kind, body)[0] == 400
