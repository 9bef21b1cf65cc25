import asyncio
import json
import re
import signal
from contextlib import contextmanager
from unittest.mock import AsyncMock, Mock

import pytest

from openrouter_async import AsyncOpenRouter, OpenRouter
from openrouter_async.cli.demo import steps_workspaces as workspace_steps
from openrouter_async.cli.demo.context import Scene
from openrouter_async.cli.demo.runner import CheckFailedError, Step, exit_status, expect, perform
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
    """The steps of the table at the end, by name, with their marks."""
    rows = re.findall(r"^ ?(ok|failed|not run) +(\S+(?: \S+)*)", output, re.MULTILINE)
    return {name: mark for mark, name in rows}


@pytest.fixture
def live(run, emulator):
    """Runs ``demo --live`` against the emulator."""
    env = {"OPENROUTER_BASE_URL": emulator.base_url, "OPENROUTER_API_KEY": emulator.api_key}
    return lambda **more: run("demo", "--live", **{**env, **more})


@pytest.fixture
def names(emulator):
    """What is stored in the emulator."""

    def listing():
        with OpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
            return [file.filename for file in client.files.list()]

    return listing


@pytest.fixture
async def scene(emulator):
    """A demo that has got as far as its workspace."""
    async with AsyncOpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        scene = Scene(emulator=emulator)
        scene.client = client
        scene.workspace = await client.workspaces.create(name="Demo", slug="demo")
        yield scene


def test_demo_runs_and_leaves_nothing_behind(execute, temporary):
    """Every step is in the table as well done, and every temporary file is gone."""
    status, output, errors = execute("-m", "openrouter_async", "demo")
    assert (status, errors) == (0, "")
    assert table(output) == dict.fromkeys(STEPS, "ok")
    assert "All 13 steps went as they should" in output
    assert list(temporary.iterdir()) == []


def test_demo_shows_what_happens_in_plain_lines(run, temporary):
    """Where there is no terminal, progress is a line for each quarter."""
    result = run("demo")
    assert result.exit_code == 0
    for quarter in ("25 %", "50 %", "75 %", "100 %"):
        assert re.search(rf"server.log +{quarter} of 20,971,520 bytes", result.output)
    assert "page 3:" in result.output
    assert "attempt 1: 429; the next follows in 1.00 s" in result.output
    assert "monthly limit ($500) must be greater than the weekly limit ($600)" in result.output
    assert "\x1b" not in result.output
    assert list(temporary.iterdir()) == []


def test_demo_shows_bars_on_a_terminal(run):
    """On a terminal each file has a bar that ends full."""
    result = run("demo", FORCE_COLOR="1", TERM="xterm-256color")
    assert result.exit_code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.output)
    assert re.search(r"server.log +\S+ +20.0/20.0 MiB +100 %", plain)


def test_demo_prints_json_for_each_step(run, monkeypatch):
    """Its name, how it went, what happened, and how long it took."""
    kinds = {"report.pdf": ("application/pdf", lambda: b"Not a PDF at all.\n")}
    monkeypatch.setattr("openrouter_async.cli._samples._KINDS", kinds)
    result = run("demo", "--json")
    assert result.exit_code == 1
    steps = [json.loads(line) for line in result.stdout.splitlines()]
    assert [step["step"] for step in steps] == STEPS
    assert [step["status"] for step in steps[:4]] == ["ok", "ok", "failed", "not run"]
    assert all(step.keys() == {"step", "status", "detail", "seconds"} for step in steps)
    assert result.stderr.startswith("openrouter-async: Upload them all at once: ")
    assert result.stderr.count("\n") == 1


def test_quiet_demo_says_only_what_failed(run, monkeypatch):
    """In a line."""
    broken = Mock(side_effect=OSError("no room for a socket"))
    monkeypatch.setattr("openrouter_async.emulator.run_emulator", broken)
    result = run("demo", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == ("openrouter-async: Start an emulator: OSError: no room for a socket\n")


def test_environment_does_not_lead_the_demo_astray(run):
    """The demo without ``--live`` speaks to its own emulator, whatever is set."""
    env = {"OPENROUTER_BASE_URL": "https://example.invalid/api/v1", "OPENROUTER_API_KEY": "sk-real"}
    assert run("demo", **env).exit_code == 0


def test_failed_step_is_shown_and_the_rest_not_run(run, monkeypatch, temporary):
    """Status 1, the step and its reason, and still nothing left behind."""
    kinds = {"report.pdf": ("application/pdf", lambda: b"Not a PDF at all.\n")}
    monkeypatch.setattr("openrouter_async.cli._samples._KINDS", kinds)
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
    assert "report.pdf is application/pdf, but was taken for text/plain" in result.output
    assert list(temporary.iterdir()) == []


def test_service_that_misbehaves_fails_the_demo(run, monkeypatch, temporary):
    """An error of the service's is told in its words."""

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
    """There is nothing to delete then, and that is no second failure."""
    broken = Mock(side_effect=OSError("no room for a socket"))
    monkeypatch.setattr("openrouter_async.emulator.run_emulator", broken)
    result = run("demo")
    assert result.exit_code == 1
    assert "Failed: Start an emulator: OSError: no room for a socket" in result.output
    assert "there is nothing to delete" in result.output


def test_interrupted_demo_cleans_up(start, temporary):
    """Ctrl-C names the step that it came in, and leaves nothing behind."""
    process = start("-m", "openrouter_async", "demo")
    for line in process.stdout:
        if "the next follows in" in line:
            break
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (4, "")
    assert "Failed: Wait out a 429: interrupted" in output
    assert table(output)["Delete the files"] == "ok"
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("last", ["Start an emulator", "25 %", "Delete the files"])
def test_demo_goes_on_when_nobody_reads(start, temporary, last):
    """A pipe that is closed early, as by ``head``, keeps nothing from being cleaned up."""
    process = start("-m", "openrouter_async", "demo")
    for line in process.stdout:
        if last in line:
            break
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""
    assert list(temporary.iterdir()) == []


def test_live_demo_deletes_only_what_it_uploaded(live, emulator, names, temporary):
    """Files only, and those of others stay."""
    emulator.create_file("theirs.txt", b"keep me")
    result = live()
    assert result.exit_code == 0
    assert set(table(result.output).values()) == {"ok"}
    assert f"{emulator.base_url}/files takes the key" in result.output
    assert names() == ["theirs.txt"]
    assert {r["operation"] for r in emulator.requests()} == {
        "list_files",
        "upload_file",
        "retrieve_file",
        "delete_file",
    }
    assert list(temporary.iterdir()) == []


def test_live_demo_deletes_when_a_step_fails(live, emulator, names):
    """Whatever fails, nothing stays in the service."""
    emulator.faults({"operation": "list_files", "skip": 1, "status": 400})
    result = live()
    assert result.exit_code == 1
    assert table(result.output)["List page by page"] == "failed"
    assert "6 files, each 404 from now on" in result.output
    assert names() == []


def test_live_demo_deletes_an_upload_whose_answer_was_lost(live, emulator, names):
    """What may have been stored is looked for by its name."""
    emulator.faults({"operation": "upload_file", "skip": 5, "drop_answer": True})
    result = live()
    assert result.exit_code == 1
    assert "UploadOutcomeUnknown" in result.output
    assert names() == []


def test_live_demo_names_what_it_could_not_delete(live, emulator, names):
    """One refusal does not keep the others from being deleted."""
    emulator.faults({"operation": "delete_file", "status": 403})
    result = live()
    assert result.exit_code == 1
    (left,) = names()
    assert re.search(rf"not deleted: {left} \(or_file_\w+\): 403", result.output)


@pytest.mark.parametrize("key", [None, "  "])
def test_live_demo_without_a_key_says_so(run, key):
    """One line, with the status of an authentication that failed."""
    result = run("demo", "--live", OPENROUTER_API_KEY=key)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "set OPENROUTER_API_KEY" in result.stderr
    assert result.stderr.count("\n") == 1


def test_live_demo_without_a_key_says_so_in_a_process_of_its_own(execute):
    """The same as users see it."""
    status, output, errors = execute("-m", "openrouter_async", "demo", "--live")
    assert (status, output) == (3, "")
    assert "set OPENROUTER_API_KEY" in errors


def test_live_demo_with_a_wrong_key_says_so(live):
    """Nothing but the first step is tried, and the key is not shown."""
    result = live(OPENROUTER_API_KEY="sk-or-v1-wrong")
    assert result.exit_code == 3
    assert "Failed: Reach the service: UnauthorizedResponseError: 401" in result.output
    assert table(result.output)["Write files"] == "not run"
    assert "sk-or-v1-wrong" not in result.output


async def test_budget_out_of_order_must_be_refused(scene, emulator):
    """A service without the ordering rule does not pass."""
    budget = (await scene.client.workspaces.set_budget("demo", "daily", 1)).data
    body = (
        f'{{"data": {{"id": "{budget.id}", "workspace_id": "{budget.workspace_id}",'
        ' "limit_usd": 600, "reset_interval": "weekly", "created_at": "2026-01-01T00:00:00Z",'
        ' "updated_at": "2026-01-01T00:00:00Z"}}'
    )
    emulator.faults({"operation": "set_budget", "skip": 2, "status": 200, "body": body})
    with pytest.raises(CheckFailedError, match="a weekly budget of \\$600 was accepted"):
        await workspace_steps.set_budgets(scene)


async def test_deleted_workspace_must_be_gone(scene, emulator):
    """A service that only says that it deleted does not pass."""
    emulator.faults({"operation": "delete_workspace", "status": 200, "body": '{"deleted": true}'})
    with pytest.raises(CheckFailedError, match="still there"):
        await workspace_steps.delete_workspace(scene)


async def test_step_that_is_interrupted_is_no_success():
    """What is done always is done all the same, and the status is that of an interrupt."""
    skipped = AsyncMock()
    steps = [
        Step("Interrupted", AsyncMock(side_effect=asyncio.CancelledError)),
        Step("Skipped", skipped),
        Step("Last", AsyncMock(return_value="well"), always=True),
    ]
    scene = Scene()
    outcomes = await perform(scene.stage, steps, scene)
    assert [outcome.detail for outcome in outcomes] == ["interrupted", "", "well"]
    assert exit_status(outcomes) == 4
    skipped.assert_not_called()


async def test_first_of_several_failures_is_told():
    """Errors of tasks that ran together are not hidden behind their group."""
    group = ExceptionGroup("several", [ValueError("the first"), ValueError("the second")])
    scene = Scene()
    failing = Step("Failing", AsyncMock(side_effect=group))
    (outcome,) = await perform(scene.stage, [failing], scene)
    assert outcome.detail == "ValueError: the first"
    assert exit_status([outcome]) == 1


def test_what_holds_is_no_failure():
    """`expect` raises only for what does not hold."""
    expect([1], "there is one")
    with pytest.raises(CheckFailedError, match="there is none"):
        expect([], "there is none")
