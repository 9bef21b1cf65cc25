import json
from datetime import UTC, datetime, timedelta

import pytest
from support.cli_runner import TERMINAL

from openrouter_async import OpenRouter


@pytest.fixture
def client(emulator):
    """A client with the management key."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        yield client


def test_a_new_keys_secret_is_all_that_stdout_has(cli, rows, client, emulator):
    """A line on stderr says that it is shown this once."""
    result = cli("keys", "create", "ci", "--set", "limit=20", "--set", "limit_reset=monthly")
    secret = result.stdout.strip()
    assert secret.startswith("sk-or-v1-")
    (key,) = rows("keys", "ls")
    assert (key["name"], key["limit"], key["limit_reset"]) == ("ci", 20, "monthly")
    assert "shown this once" in result.stderr
    assert key["hash"] in result.stderr
    assert secret not in result.stderr
    for args in (["keys", "ls"], ["keys", "show", key["hash"]]):
        for env in ({}, TERMINAL):
            assert secret not in cli(*args, "--debug", **env).output
    (created,) = rows("keys", "create", "other")
    assert OpenRouter(created["key"], server_url=emulator.base_url).keys.current().label


def test_a_key_is_changed_and_deleted(cli, rows, client):
    """It moves to a workspace of a slug, too."""
    client.workspaces.create(name="W", slug="w")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    rows("keys", "create", "ci", "--expires", soon[:19], "--user", "user_def456")
    (key,) = rows("keys", "ls")
    moved = rows("keys", "update", key["hash"], "--workspace", "w", "--disable", "--name", "n")[0]
    assert (moved["name"], moved["disabled"], moved["expires_at"] is None) == ("n", True, False)
    assert rows("keys", "ls", "--workspace", "w") == []
    assert [row["hash"] for row in rows("keys", "ls", "--workspace", "w", "--all")] == [key["hash"]]
    result = cli("keys", "rm", key["hash"], "0" * 64, "--yes")
    assert (result.exit_code, result.stdout.count("deleted")) == (1, 1)
    assert cli("keys", "update", "0" * 64, "--set", "limits=5").exit_code == 2


def test_container_files_are_listed_downloaded_and_promoted(rows, emulator, client, tmp_path):
    made = emulator.create_container_file("sess_x", "out/plot.png", b"made")
    assert [row["path"] for row in rows("containers", "ls", "sess_x")] == ["out/plot.png"]
    assert rows("containers", "info", "sess_x", made["id"])[0]["bytes"] == 4
    path = tmp_path / "x.png"
    assert rows("containers", "download", "sess_x", made["id"], "-o", path) == [{"path": str(path)}]
    assert path.read_bytes() == b"made"
    (copy,) = rows("containers", "promote", "sess_x", made["id"])
    assert client.files.retrieve(copy["id"]).filename == "out/plot.png"


def test_members_of_the_organisation_are_listed(rows):
    assert rows("organization", "members")[0]["email"] == "user_abc123@example.com"


def test_budget_shows_what_is_spent_as_rows_and_as_bars(cli, rows, client, emulator):
    """The bars of spent budgets are full."""
    assert "no limit" in cli("budget").stderr
    client.workspaces.set_budgets("default", {"monthly": 500, "daily": 50})
    emulator.spend({client.workspaces.get("default").id: 125})
    layers = {row["reset_interval"]: row for row in rows("budget")}
    assert (layers["monthly"]["spend_usd"], layers["daily"]["remaining_usd"]) == (125, -75)
    assert "workspace\tmonthly\t125\t500.0\t375.0" in cli("budget").stdout
    shown = cli("budget", **TERMINAL).stdout
    assert "$125.00 of $500.00" in shown
    assert "resets 2" in shown
    assert "\u2501" * 24 in shown


FILE = """
[workspaces.w]
budgets = { daily = 5 }
keys = { ci = {} }
"""


def test_a_plan_exits_with_2_and_an_applied_one_with_0(cli, rows, client, tmp_path):
    file = tmp_path / "w.toml"
    file.write_text(FILE)
    result = cli("workspaces", "plan", file)
    assert (result.exit_code, result.stdout.splitlines()) == (
        2,
        ["+ w: workspace (name: 'w')", "+ w: budget daily (limit_usd: 5)", "+ w: key ci"],
    )
    assert (
        json.loads(cli("workspaces", "plan", file, "--json").stdout.splitlines()[2])["name"] == "ci"
    )
    result = cli("workspaces", "apply", file)
    *_, line = result.stdout.splitlines()
    secret = line.removeprefix("+ w: key ci: ")
    assert secret.startswith("sk-or-v1-")
    assert "shown this once" in result.stderr
    assert secret not in result.stderr
    assert cli("workspaces", "plan", file).exit_code == 0
    export = tmp_path / "export.toml"
    assert cli("workspaces", "export", export).exit_code == 0
    assert cli("workspaces", "export", export).exit_code == 2
    assert cli("workspaces", "plan", export, "--prune").exit_code == 0
    assert "[workspaces.w.budgets]\ndaily = 5" in cli("workspaces", "export", "-").stdout
    file.write_text("[workspaces.w]\nnam = 5")
    result = cli("workspaces", "plan", file)
    assert (result.exit_code, "line 2" in result.stderr) == (2, True)


def test_prune_and_teardown_ask_first(cli, client, tmp_path):
    """Without a terminal to ask on, nothing is done."""
    file = tmp_path / "w.toml"
    file.write_text(FILE)
    cli("workspaces", "apply", file)
    file.write_text("[workspaces.w]\nbudgets = { daily = 5 }")
    result = cli("workspaces", "apply", file, "--prune")
    assert (result.exit_code, "- w: key ci" in result.stderr) == (2, True)
    assert cli("workspaces", "teardown", "w").exit_code == 2
    assert cli("workspaces", "teardown", "w", "--dry-run").stdout.splitlines() == [
        "- w: key ci",
        "- w: workspace",
    ]
    assert "revoke" in cli("workspaces", "teardown", "w", "--yes").stderr
    assert cli("workspaces", "apply", file, "--prune", "--yes").stdout == "- w: key ci\n"
    assert cli("workspaces", "teardown", "w", "--yes").stdout == "- w: workspace\n"
