"""The console in a real headless browser; skipped where there is none.

``OPENROUTER_BROWSER`` names the browser's program; otherwise Chromium or Chrome is looked for.
"""

import os
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from openrouter_async import OpenRouter
from openrouter_async.emulator import run_emulator

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = os.environ.get("OPENROUTER_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
ARGUMENTS = [
    "--no-sandbox",  # in containers, where tests run as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = ["", "console/requests", "console/files", "console/workspaces", "console/faults"]
HOSTILE = "it's &amp; ”quoted” <img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome: nothing to test in")


@pytest.fixture(scope="module")
def browser():
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=BROWSER, args=ARGUMENTS) as browser,
    ):
        yield browser


@pytest.fixture
def emulator():
    with run_emulator(console=True) as emulator:
        yield emulator


@pytest.fixture
def sdk(emulator):
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as sdk:
        yield sdk


@pytest.fixture
def page(browser, emulator):
    """A signed-in page; whatever it logs or raises fails the test."""
    context = browser.new_context()
    page = context.new_page()
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
    page.goto(emulator.console_url)
    page.wait_for_url("**/_emulator/")
    yield page
    context.close()
    assert problems == []


def root(emulator):
    return emulator.base_url.removesuffix("api/v1") + "_emulator/"


@pytest.fixture
def filled(emulator, sdk):
    """Something on every page, with hostile names."""
    emulator.create_file("it's &amp; ”quoted”.txt", b"words")
    space = sdk.workspaces.create(name=HOSTILE, slug="hostile", description=HOSTILE)
    sdk.workspaces.set_budget("hostile", "monthly", 500)
    sdk.keys.create(name=HOSTILE, workspace_id=space.id)
    emulator.spend({space.id: 38})
    emulator.faults({"operation": "list_files", "status": 429, "times": 2, "retry_after": "0"})
    sdk.files.list().page()


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_pages_are_accessible_and_show_hostile_text_as_text(page, emulator, scheme, width):
    """By axe-core's rules, contrast and labels included; no script runs."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    for name in PAGES:
        page.goto(root(emulator) + name)
        found = Axe().run(page).response["violations"]
        assert [(v["id"], v["nodes"][0]["html"]) for v in found] == [], name
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) <= 0, name
    expect(page.locator("img")).to_have_count(0)


def test_requests_arrive_while_the_page_is_open(page, emulator, sdk):
    page.goto(root(emulator) + "console/requests")
    expect(page.get_by_text("None yet")).to_be_visible()
    sdk.files.upload(b"words", filename="live.txt")
    expect(page.get_by_role("link", name="upload_file")).to_be_visible()
    page.get_by_role("link", name="upload_file").click()
    expect(page.get_by_text("live.txt").first).to_be_visible()


def test_a_rule_is_armed_by_keyboard_and_the_sdk_meets_it(page, emulator, sdk):
    page.goto(root(emulator) + "console/faults")
    page.get_by_label("Operation").select_option("list_files")
    page.get_by_label("Status").fill("429")
    page.get_by_label("Retry-After").fill("0")
    page.get_by_label("Status").press("Enter")
    expect(page.get_by_role("button", name="Disarm rule 1")).to_be_visible()
    sdk.files.list().page()
    expect(page.locator("tbody td.number").first).to_have_text("1")
    assert [request["status"] for request in emulator.requests()] == [429, 200]


def test_a_file_is_uploaded_and_deleted(page, emulator, sdk):
    page.goto(root(emulator) + "console/files")
    content = {"name": "picked.txt", "mimeType": "text/plain", "buffer": b"words"}
    page.get_by_label("Upload a file").set_input_files(content)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("picked.txt")).to_be_visible()
    assert [file.filename for file in sdk.files.list()] == ["picked.txt"]
    page.get_by_role("button", name="Delete picked.txt").click()
    expect(page.get_by_text("No files")).to_be_visible()


def test_a_page_of_another_origin_can_neither_read_nor_write(browser, page, emulator):
    """It runs in the same browser, with the session's cookie, on another port of the machine."""
    with run_emulator() as other:
        foreign = page.context.new_page()
        foreign.goto(other.base_url.removesuffix("/api/v1"))
        results = foreign.evaluate(
            """async (root) => {
                const results = [];
                for (const [path, init] of [
                    ["console/requests", {credentials: "include"}],
                    ["console/faults/preset", {credentials: "include", method: "POST", mode: "no-cors",
                        body: new URLSearchParams({preset: "429 twice"})}],
                ]) {
                    try {
                        const response = await fetch(root + path, init);
                        results.push(response.type === "opaque" ? "opaque" : await response.text());
                    } catch (error) { results.push("refused"); }
                }
                return results;
            }""",
            root(emulator),
        )
    assert results == ["refused", "opaque"]
    assert emulator.fault_status() == []
    foreign.close()


def test_pages_work_without_scripts(browser, emulator, sdk):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(emulator.console_url)
    page.goto(root(emulator) + "console/faults")
    page.get_by_role("button", name="429 twice").click()
    expect(page.get_by_role("button", name="Disarm rule 1")).to_be_visible()
    page.goto(root(emulator) + "console/requests")
    sdk.files.list().page()
    page.reload()
    expect(page.get_by_role("link", name="list_files").first).to_be_visible()
    context.close()
