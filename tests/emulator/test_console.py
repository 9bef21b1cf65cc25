"""The console: pages by HTTP, who may see them, and what their forms do."""

import re
import time

import httpx
import pytest
from support.console import Console, forms_of

from openrouter_async import OpenRouter
from openrouter_async.emulator import run_emulator

PAGES = ["", "console/requests", "console/files", "console/workspaces", "console/faults"]
NAME = 'it\'s &amp; "quoted".txt'.replace('"', "”")
BIDI = "invoice\u202etxt.exe"


@pytest.fixture(scope="module")
def emulator():
    """One with the console, for all tests."""
    with run_emulator(console=True) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _empty(emulator):
    emulator.reset()


@pytest.fixture(scope="module")
def console(emulator):
    """A browser's session, without a browser."""
    with Console(emulator.console_url) as console:
        yield console


@pytest.fixture
def sdk(emulator):
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as sdk:
        yield sdk


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole_and_labelled(console, page):
    """Every field has a label, every button says what it does, and nothing is inline."""
    text = console.page(page)
    labelled = re.sub(r"<label.*?</label>", "", text, flags=re.DOTALL)
    assert not re.findall(r"<(?:input|select)(?![^>]*type=\"hidden\")[^>]*>", labelled)
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)", text)
    assert "<h1>" in text
    assert 'aria-current="page"' in text


@pytest.mark.parametrize("page", PAGES)
def test_a_page_carries_what_protects_it(console, page):
    headers = console.get(page).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("page", [*PAGES, "console/events", "console/files/x/content"])
def test_without_a_session_nothing_is_shown(emulator, console, page):
    with httpx.Client() as stranger:
        response = stranger.get(console.root + page)
    assert response.status_code == 401
    assert emulator.api_key not in response.text
    assert "set-cookie" not in response.headers


def test_a_link_is_valid_once_and_its_cookie_is_strict(emulator, console):
    with httpx.Client() as again:
        assert again.get(emulator.console_url).status_code == 401
        signed_in = again.post(console.root + "console/login", data={"token": emulator.admin_token})
    assert signed_in.status_code == 200
    cookie = signed_in.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert emulator.admin_token not in signed_in.headers["set-cookie"] + signed_in.text
    assert "link=" not in repr(emulator)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://localhost:3000"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ],
    ids=str,
)
def test_another_origin_can_neither_read_nor_write(emulator, console, headers):
    """Even if the browser sends the cookie, as it does for other ports of this machine."""
    token = forms_of(console.page("console/faults"))[0]["token"]
    for page in PAGES:
        assert console.get(page, headers=headers).status_code in {403, 421}
    form = {"token": token, "preset": "429 twice"}
    response = console.post("console/faults/preset", form, headers=headers)
    assert response.status_code in {403, 421}
    assert emulator.fault_status() == []


@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_a_form_without_its_token_does_nothing(emulator, console, sdk, token):
    file = sdk.files.upload(b"words", filename="a.txt")
    given = {} if token is None else {"token": token}
    space = sdk.workspaces.get("default").id
    for path, values in (
        ("console/faults/preset", {"preset": "429 twice"}),
        ("console/files/delete", {"file_id": file.id, "workspace_id": space}),
        ("console/workspaces/create", {"name": "x", "slug": "x"}),
        ("console/reset", {}),
    ):
        assert console.post(path, {**values, **given}).status_code == 400
    files = {"file": ("b.txt", b"words")}
    assert console.post("console/files", {**given, "workspace_id": space}, files).status_code == 400
    assert [f.filename for f in sdk.files.list()] == ["a.txt"]
    assert emulator.fault_status() == []
    assert [w.slug for w in sdk.workspaces.list()] == ["default"]


def test_hostile_text_is_shown_as_text(emulator, console, sdk):
    """Names of files and workspaces, paths, headers and bodies are the sender's."""
    script = "<script>alert(1)</script>"
    emulator.create_file(NAME, b"words")
    sdk.workspaces.create(name=script, slug="hostile", description=script)
    headers = {"authorization": f"Bearer {emulator.management_key}", "user-agent": script}
    url = f"{emulator.base_url}/files/{script}?x={BIDI}"
    httpx.get(url, headers=headers)
    httpx.post(f"{emulator.base_url}/workspaces", headers=headers, json={"name": script})
    seen = "".join(console.page(page) for page in PAGES)
    for request in emulator.requests():
        seen += console.page(f"console/requests/{request['request_id']}")
    assert "&lt;script&gt;" in seen
    assert "\u202e" not in seen
    for text in (script, "<script>alert"):
        assert text not in seen
    assert "it&#39;s &amp;amp;" in seen


def test_requests_are_shown_with_their_retries(emulator, console, sdk):
    emulator.faults({"operation": "list_files", "status": 429, "retry_after": "0"})
    sdk.files.list(limit=7).page()
    stored = sdk.files.upload(b"words", filename="2026/a.txt")
    sdk.files.retrieve(stored.id)
    text = console.page("console/requests")
    assert text.count(">retry<") == 1
    assert text.count("fault<") == 1
    only = console.page("console/requests?operation=list_files&status=429")
    assert "upload_file</a>" not in only
    assert only.count("list_files</a>") == 1
    upload, retrieve = emulator.requests()[-2:]
    shown = console.page(f"console/requests/{upload['request_id']}")
    assert upload["upload"]["sha256"] in shown
    assert "[redacted]" in shown
    assert emulator.management_key not in shown
    assert "await client.files.upload(&#39;a.txt&#39;, filename=&#39;2026/a.txt&#39;)" in shown
    shown = console.page(f"console/requests/{retrieve['request_id']}")
    assert f"await client.files.retrieve(&#39;{stored.id}&#39;)" in shown
    assert f"curl -X GET {emulator.base_url}/files/{stored.id}" in shown


def test_a_request_cannot_put_code_into_the_text_to_copy(emulator, console, sdk):
    """Names of parameters are the sender's; values keep their types, and file names are quoted."""
    headers = {"authorization": f"Bearer {emulator.management_key}"}
    httpx.get(f'{emulator.base_url}/files?limit)%20or%20print("x")%20%23=1', headers=headers)
    httpx.get(f"{emulator.base_url}/files?class=1", headers=headers)
    sdk.workspaces.create(name="2024", slug="year")
    sdk.files.upload(b"words", filename="a;type=x,b.txt")
    *hostile, created, uploaded = [
        console.page(f"console/requests/{request['request_id']}") for request in emulator.requests()
    ]
    assert not any("As Python" in page for page in hostile)
    assert "name=&#39;2024&#39;" in created
    assert "file=@&#34;./a;type=x,b.txt&#34;" in uploaded


def test_what_the_console_does_is_not_in_the_log(emulator, console, caplog):
    caplog.set_level("INFO", "openrouter_async.emulator")
    for page in PAGES:
        console.page(page)
    assert emulator.requests() == []
    assert "console" not in caplog.text


def test_a_rule_is_armed_met_and_disarmed(emulator, console, sdk):
    form = {"operation": "list_files", "status": "503", "retry_after": "0", "times": "1"}
    console.submit("console/faults", form)
    assert console.submit("console/faults/preset", {"preset": "429 twice"}).status_code == 303
    sdk.files.list().page()
    statuses = [request["status"] for request in emulator.requests()]
    assert statuses == [503, 429, 429, 200]
    assert [rule["met"] for rule in emulator.fault_status()] == [1, 2]
    console.submit("console/faults/disarm", {"rule": "0"})
    assert [rule["status"] for rule in emulator.fault_status()] == [429]
    console.submit("console/faults/disarm", {})
    assert emulator.fault_status() == []


def test_an_invalid_rule_is_refused_in_words(emulator, console):
    response = console.submit("console/faults", {"operation": "*", "status": "700", "times": "1"})
    assert response.status_code == 400
    assert "status" in response.text
    assert emulator.fault_status() == []


def test_files_are_uploaded_downloaded_and_deleted(emulator, console, sdk):
    space = sdk.workspaces.get("default").id
    for made, name in ((None, "a.txt"), ("1", "made.bin")):
        values = {"workspace_id": space} | ({"made": made} if made else {})
        content = {"file": (name, b"words \x00" if made else b"words")}
        assert console.submit("console/files", values, content).status_code == 303
    first, made = list(sdk.files.list())
    assert (first.downloadable, made.downloadable) == (False, True)
    response = console.get(f"console/files/{first.id}/content?workspace_id={space}")
    assert (response.content, response.headers["content-disposition"]) == (b"words", "attachment")
    assert response.headers["content-type"] == "application/octet-stream"
    console.submit("console/files/delete", {"workspace_id": space, "file_id": first.id})
    assert [file.filename for file in sdk.files.list()] == ["made.bin"]


def test_a_workspace_is_edited_as_the_api_allows(emulator, console, sdk):
    console.submit("console/workspaces/create", {"name": "Trials", "slug": "trials"})
    space = sdk.workspaces.get("trials")
    created = sdk.keys.create(name="ci", workspace_id=space.id)

    def submit(form, **values):
        return console.submit(f"console/workspaces/{form}", {"workspace_id": space.id} | values)

    submit("update", name="Trials 2", description="new")
    submit("budget", interval="monthly", limit_usd="500")
    assert submit("budget", interval="daily", limit_usd="900").status_code == 400  # over monthly
    submit("spend", usd="38")
    submit("member", action="add", user_id="user_def456")
    submit("key", hash=created.data.hash, action="disable")
    assert submit("update", name="x").status_code == 400  # the description is missing
    space = sdk.workspaces.get("trials")
    assert (space.name, space.description) == ("Trials 2", "new")
    assert [b.limit_usd for b in sdk.workspaces.list_budgets("trials").data] == [500]
    text = console.page("console/workspaces")
    assert "$38.00 spent" in text
    assert 'max="500.0" value="38.0"' in text or 'max="500" value="38.0"' in text
    assert ">disabled<" in text
    assert created.key.reveal() not in text


def test_a_change_is_an_event_and_the_emulator_ends_with_an_open_stream(sdk, emulator, console):
    with console.client.stream("GET", console.root + "console/events") as stream:
        sdk.files.list().page()
        assert next(stream.iter_lines()) == "data: changed"
    with run_emulator(console=True) as other, Console(other.console_url) as pages:
        events = pages.root + "console/events"
        pages.client.send(pages.client.build_request("GET", events), stream=True)
        began = time.monotonic()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("console/workspaces/spend", {"workspace_id": "x", "usd": "nan"}),
        ("console/workspaces/spend", {"usd": "1"}),
        ("console/workspaces/delete", {}),
        ("console/files/delete", {"file_id": "or_file_x"}),
        ("console/faults", {"operation": "*", "status": "many"}),
        ("console/faults/preset", {"preset": "none such"}),
    ],
    ids=str,
)
def test_a_form_that_is_not_right_is_refused_in_words(console, path, values):
    response = console.submit(path, values)
    assert response.status_code == 400
    assert 'role="alert"' in response.text


@pytest.mark.parametrize("space", ["x", "00000000-0000-4000-8000-000000000000"])
def test_a_file_for_no_workspace_is_refused(console, space):
    content = {"file": ("a.txt", b"words")}
    response = console.submit("console/files", {"workspace_id": space}, content)
    assert response.status_code == 400


def test_without_the_option_there_are_no_pages(console):
    with run_emulator() as plain:
        assert plain.console_url is None
        root = plain.base_url.removesuffix("api/v1") + "_emulator/"
        assert httpx.get(root).status_code == 404
        assert httpx.get(root + "console/requests").status_code == 404


def test_static_files_are_only_the_three(console):
    assert console.get("console/static/console.css").status_code == 200
    for name in ("../session.py", "..%2fsession.py", "none.css", "%2e%2e/pages.py"):
        target = httpx.URL(console.root + "console/static/").copy_with(
            raw_path=f"/_emulator/console/static/{name}".encode()
        )
        assert console.client.get(target).status_code == 404
