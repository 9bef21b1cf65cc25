import asyncio
import json
import re
import signal
from contextlib import contextmanager
from unittest.mock import AsyncMock, Mock

import pytest
from support.cli_runner import TERMINAL

from openrouter_async import AsyncOpenRouter, OpenRouter
from openrouter_async.cli.demo import steps_workspaces as workspace_steps
from openrouter_async.cli.demo.context import Context
from openrouter_async.cli.demo.runner import CheckFailedError, Report, Step, expect, run_steps
from openrouter_async.emulator import run_emulator

STEPS = [
    "Start an emulator",
    "Write files",
    "Upload them all at once",
    "List page by page",
    "Retrieve each",
    "Download and compare",
    "Wait out a 429",
    "Create a workspace",
    "Set budgets",
    "Add and remove members",
    "Delete the workspace",
    "Delete the files",
    "Clean up",
]


def table(output):
    """The status of each step in the table at the end, by name."""
    rows = re.findall(r"^ ?(ok|failed|not run) +(\S+(?: \S+)*)", output, re.MULTILINE)
    return {name: status for status, name in rows}


@pytest.fixture
def live(run, emulator):
    """Runs ``demo --live`` against the emulator."""
    env = {"OPENROUTER_BASE_URL": emulator.base_url, "OPENROUTER_API_KEY": emulator.api_key}
    return lambda **more: run("demo", "--live", **{**env, **more})


@pytest.fixture
def names(emulator):
    """Lists the filenames in the emulator."""

    def listing():
        with OpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
            return [file.filename for file in client.files.list()]

    return listing


@pytest.fixture
async def context(emulator):
    """The state of a demo that has just created its workspace."""
    async with AsyncOpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        context = Context(emulator=emulator)
        context.client = client
        context.workspace = await client.workspaces.create(name="Demo", slug="demo")
        yield context


@pytest.fixture
def wrong_sample(monkeypatch):
    """The demo's PDF is plain text."""
    files = {"report.pdf": ("application/pdf", b"Not a PDF at all.\n", 1)}
    monkeypatch.setattr("openrouter_async.cli.demo.samples._FILES", files)


def test_demo_runs_and_leaves_nothing_behind(execute, temporary):
    """Every step is ok in the table, and every temporary file is removed."""
    status, output, errors = execute("-m", "openrouter_async", "demo")
    assert (status, errors) == (0, "")
    assert table(output) == dict.fromkeys(STEPS, "ok")
    assert "All 13 steps succeeded: " in output
    assert list(temporary.iterdir()) == []


def test_demo_prints_plain_lines_without_a_terminal(run, temporary):
    """The progress of an upload is a line for each quarter."""
    result = run("demo")
    assert result.exit_code == 0
    for quarter in ("25 %", "50 %", "75 %", "100 %"):
        assert re.search(rf"server.log +{quarter} of 20,971,536 bytes", result.output)
    assert "page 3:" in result.output
    assert "attempt 1: 429; retrying in 1.00 s" in result.output
    assert "monthly limit ($500) must be greater than the weekly limit ($600)" in result.output
    assert "\x1b" not in result.output
    assert list(temporary.iterdir()) == []


def test_demo_shows_bars_on_a_terminal(run):
    """Each file has a bar that ends full."""
    result = run("demo", **TERMINAL)
    assert result.exit_code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.output)
    assert re.search(r"server.log +\S+ +20.0/20.0 MiB", plain)


def test_demo_prints_json_for_each_step(run, wrong_sample):
    """Name, status, detail and duration; errors go to stderr in one line."""
    result = run("demo", "--json")
    assert result.exit_code == 1
    steps = [json.loads(line) for line in result.stdout.splitlines()]
    assert [step["step"] for step in steps] == STEPS
    assert [step["status"] for step in steps[:4]] == ["ok", "ok", "failed", "not run"]
    assert all(step.keys() == {"step", "status", "detail", "seconds"} for step in steps)
    assert result.stderr.startswith("openrouter-async: Upload them all at once: ")
    assert result.stderr.count("\n") == 1


def test_quiet_demo_prints_only_the_failure(run, monkeypatch):
    """In one line on stderr."""
    broken = Mock(side_effect=OSError("no room for a socket"))
    monkeypatch.setattr("openrouter_async.emulator.run_emulator", broken)
    result = run("demo", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == ("openrouter-async: Start an emulator: OSError: no room for a socket\n")


def test_demo_without_live_ignores_the_environment(run):
    """It uses its own emulator, whatever server and key are set."""
    env = {"OPENROUTER_BASE_URL": "https://example.invalid/api/v1", "OPENROUTER_API_KEY": "sk-real"}
    assert run("demo", **env).exit_code == 0


def test_failed_step_is_shown_and_the_rest_not_run(run, wrong_sample, temporary):
    """Status 1, the step and its reason, and nothing is left behind."""
    result = run("demo")
    assert result.exit_code == 1
    assert table(result.output) == {
        "Start an emulator": "ok",
        "Write files": "ok",
        "Upload them all at once": "failed",
        **dict.fromkeys(STEPS[3:11], "not run"),
        "Delete the files": "ok",
        "Clean up": "ok",
    }
    assert "Failed: Upload them all at once" in result.output
    assert "report.pdf is application/pdf, but was detected as text/plain" in result.output
    assert list(temporary.iterdir()) == []


def test_error_response_fails_the_demo(run, monkeypatch, temporary):
    """The service's message is shown."""

    @contextmanager
    def faulty():
        with run_emulator() as emulator:
            emulator.faults({"operation": "list_files", "status": 400, "message": "Not today"})
            yield emulator

    monkeypatch.setattr("openrouter_async.emulator.run_emulator", faulty)
    result = run("demo")
    assert result.exit_code == 1
    assert table(result.output)["List page by page"] == "failed"
    assert "BadRequestResponseError: 400" in result.output
    assert "Not today" in result.output
    assert list(temporary.iterdir()) == []


def test_emulator_that_does_not_start_fails_the_demo(run, monkeypatch):
    """Having nothing to delete is not a second failure."""
    broken = Mock(side_effect=OSError("no room for a socket"))
    monkeypatch.setattr("openrouter_async.emulator.run_emulator", broken)
    result = run("demo")
    assert result.exit_code == 1
    assert "Failed: Start an emulator: OSError: no room for a socket" in result.output
    assert "nothing to delete" in result.output


def test_interrupted_demo_cleans_up(start, temporary):
    """Ctrl-C fails the current step and leaves nothing behind."""
    process = start("-m", "openrouter_async", "demo")
    for line in process.stdout:
        if "retrying in" in line:
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (4, "")
    assert "Failed: Wait out a 429: interrupted" in output
    assert table(output)["Delete the files"] == "ok"
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("last", ["Start an emulator", "25 %", "Delete the files"])
def test_demo_finishes_when_its_output_is_closed(start, temporary, last):
    """A pipe that is closed early, as by ``head``, does not prevent the clean-up."""
    process = start("-m", "openrouter_async", "demo")
    for line in process.stdout:
        if last in line:
            break
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""
    assert list(temporary.iterdir()) == []


def test_live_demo_deletes_only_what_it_uploaded(live, emulator, names, temporary):
    """It uses the files API only, and leaves other files alone."""
    emulator.create_file("theirs.txt", b"keep me")
    result = live()
    assert result.exit_code == 0
    assert set(table(result.output).values()) == {"ok"}
    assert f"{emulator.base_url}: key accepted" in result.output
    assert names() == ["theirs.txt"]
    assert {r["operation"] for r in emulator.requests()} == {
        "list_files",
        "upload_file",
        "retrieve_file",
        "delete_file",
    }
    assert list(temporary.iterdir()) == []


def test_live_demo_deletes_when_a_step_fails(live, emulator, names):
    """A failure leaves nothing in the service."""
    emulator.faults({"operation": "list_files", "skip": 1, "status": 400})
    result = live()
    assert result.exit_code == 1
    assert table(result.output)["List page by page"] == "failed"
    assert "6 files, each now a 404" in result.output
    assert names() == []


def test_live_demo_deletes_an_upload_whose_response_was_lost(live, emulator, names):
    """It is found in the list by its filename."""
    emulator.faults({"operation": "upload_file", "skip": 5, "drop_answer": True})
    result = live()
    assert result.exit_code == 1
    assert "UploadOutcomeUnknown" in result.output
    assert names() == []


def test_live_demo_names_the_file_that_it_could_not_delete(live, emulator, names):
    """The other files are deleted all the same."""
    emulator.faults({"operation": "delete_file", "status": 403})
    result = live()
    assert result.exit_code == 1
    (left,) = names()
    assert re.search(rf"not deleted: {left} \(or_file_\w+\): 403", result.output)


@pytest.mark.parametrize("key", [None, "  "])
def test_live_demo_without_a_key_is_an_authentication_error(run, key):
    """One line that names the variable to set."""
    result = run("demo", "--live", OPENROUTER_API_KEY=key)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "set OPENROUTER_API_KEY" in result.stderr
    assert result.stderr.count("\n") == 1


def test_live_demo_without_a_key_is_an_authentication_error_in_a_subprocess(execute):
    """The same, as users see it."""
    status, output, errors = execute("-m", "openrouter_async", "demo", "--live")
    assert (status, output) == (3, "")
    assert "set OPENROUTER_API_KEY" in errors


def test_live_demo_with_a_wrong_key_fails_at_its_first_step(live):
    """The key is not shown."""
    result = live(OPENROUTER_API_KEY="sk-or-v1-wrong")
    assert result.exit_code == 3
    assert "Failed: Reach the service: UnauthorizedResponseError: 401" in result.output
    assert table(result.output)["Write files"] == "not run"
    assert "sk-or-v1-wrong" not in result.output


async def test_accepted_budget_out_of_order_fails_the_step(context, emulator):
    """The service must enforce the ordering rule."""
    budget = (await context.client.workspaces.set_budget("demo", "daily", 1)).data
    body = (
        f'{{"data": {{"id": "{budget.id}", "workspace_id": "{budget.workspace_id}",'
        ' "limit_usd": 600, "reset_interval": "weekly", "created_at": "2026-01-01T00:00:00Z",'
        ' "updated_at": "2026-01-01T00:00:00Z"}}'
    )
    emulator.faults({"operation": "set_budget", "skip": 2, "status": 200, "body": body})
    with pytest.raises(CheckFailedError, match="a weekly budget of \\$600 was accepted"):
        await workspace_steps.set_budgets(context)


async def test_workspace_that_outlives_its_deletion_fails_the_step(context, emulator):
    """A response that claims success is not enough."""
    emulator.faults({"operation": "delete_workspace", "status": 200, "body": '{"deleted": true}'})
    with pytest.raises(CheckFailedError, match="still there"):
        await workspace_steps.delete(context)


async def test_interrupted_step_fails_with_the_status_of_an_interrupt():
    """Later steps are skipped, except those that always run."""
    skipped = AsyncMock()
    steps = [
        Step("Interrupted", AsyncMock(side_effect=asyncio.CancelledError)),
        Step("Skipped", skipped),
        Step("Last", AsyncMock(return_value="done"), always=True),
    ]
    report = Report()
    await run_steps(report, steps, None)
    assert [row["detail"] for row in report.rows] == ["interrupted", "", "done"]
    assert [row["status"] for row in report.rows] == ["failed", "not run", "ok"]
    assert report.finish(requests=0, seconds=0) == 4
    skipped.assert_not_called()


async def test_first_error_of_a_group_is_reported():
    """Errors of concurrent tasks are not hidden behind their group."""
    group = ExceptionGroup("several", [ValueError("the first"), ValueError("the second")])
    report = Report()
    await run_steps(report, [Step("Failing", AsyncMock(side_effect=group))], None)
    assert report.rows[0]["detail"] == "ValueError: the first"
    assert report.finish(requests=0, seconds=0) == 1


def test_expect_raises_only_if_the_condition_is_false():
    """An empty list is false."""
    expect([1], "empty")
    with pytest.raises(CheckFailedError, match="empty"):
        expect([], "empty")
