import json

import pytest

from openrouter_async import OpenRouter
from openrouter_async.cli._output import Output


@pytest.fixture
def workspaces(emulator):
    """The workspaces namespace of a client; there is a workspace ``lab``."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        client.workspaces.create(name="Laboratory", slug="lab", description="Trials")
        yield client.workspaces


def test_ls_lists_all(cli, rows, workspaces):
    """In a pipe: slug, name, id and time."""
    assert [row["slug"] for row in rows("workspaces", "ls")] == ["default", "lab"]
    line = cli("workspaces", "ls").stdout.splitlines()[1].split("\t")
    assert line[:3] == ["lab", "Laboratory", workspaces.get("lab").id]


def test_ls_stops_when_its_output_is_closed(cli, workspaces, monkeypatch):
    """It is not an error."""
    monkeypatch.setattr(Output, "write", lambda self, _: setattr(self, "closed", True))
    assert cli("workspaces", "ls").exit_code == 0


def test_show_shows_every_setting(cli, rows, workspaces):
    """Of a workspace given by slug or id."""
    (row,) = rows("workspaces", "show", workspaces.get("lab").id)
    assert (row["slug"], row["description"]) == ("lab", "Trials")
    assert "default_text_model" in row
    assert "extra" not in row
    assert "description\tTrials\n" in cli("workspaces", "show", "lab").stdout


def test_create_takes_settings(rows, workspaces):
    """Values are JSON or plain text; the name defaults to the slug."""
    settings = {
        "default_text_model": "vendor/model",
        "io_logging_sampling_rate": "0.5",
        "is_observability_broadcast_enabled": "true",
        "disabled_server_tools": '["web_search"]',
    }
    args = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    (row,) = rows("workspaces", "create", "new", "--description", "123", *args)
    assert (row["slug"], row["name"], row["description"]) == ("new", "new", "123")
    created = workspaces.get("new")
    assert created.default_text_model == "vendor/model"
    assert created.io_logging_sampling_rate == 0.5
    assert created.is_observability_broadcast_enabled is True
    assert list(created.disabled_server_tools) == ["web_search"]
    assert rows("workspaces", "create", "other", "--name", "The other")[0]["name"] == "The other"


def test_update_changes_only_the_given_settings(rows, workspaces):
    """Null clears a setting."""
    rows("workspaces", "update", "lab", "--name", "New name")
    assert (workspaces.get("lab").name, workspaces.get("lab").description) == ("New name", "Trials")
    rows("workspaces", "update", "lab", "--set", "description=null", "--slug", "labs")
    changed = workspaces.get("labs")
    assert (changed.name, changed.description) == ("New name", None)


@pytest.mark.parametrize("setting", ["nonsense=1", "name=x", "timeout=1", "description"])
def test_unknown_setting_is_a_usage_error(cli, emulator, setting):
    """It lists the valid names."""
    result = cli("workspaces", "update", "lab", "--set", setting)
    assert result.exit_code == 2
    assert "default_text_model" in result.stderr
    assert emulator.requests() == []


def test_invalid_value_is_a_usage_error(cli, workspaces):
    """The SDK checks it."""
    for args, message in (
        (["Not A Slug"], "slug must be 1 to 50 lower-case letters"),
        (["new", "--name", ""], "name must be a string of 1 to 100 characters"),
    ):
        result = cli("workspaces", "create", *args)
        assert result.exit_code == 2
        assert message in result.stderr


def test_ordinary_key_is_refused_with_advice(cli, emulator):
    """Status 1: the key is valid, but not for workspaces."""
    result = cli("workspaces", "ls", OPENROUTER_API_KEY=emulator.api_key)
    assert result.exit_code == 1
    assert "management key" in result.stderr


def test_rm_needs_yes_in_a_pipe(cli, workspaces):
    """With ``--yes`` it deletes."""
    refused = cli("workspaces", "rm", "lab")
    assert refused.exit_code == 2
    assert "add --yes" in refused.stderr
    result = cli("workspaces", "rm", "lab", "--yes")
    assert (result.exit_code, result.stdout) == (0, "deleted\tlab\n")
    assert [workspace.slug for workspace in workspaces.list()] == ["default"]


def test_rm_goes_on_after_a_failure(cli, workspaces):
    """Status 1, an error for the first, and the second is deleted."""
    result = cli("workspaces", "rm", "nowhere", "lab", "--yes", "--json")
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"workspace": "nowhere", "status": "failed"},
        {"workspace": "lab", "status": "deleted"},
    ]
    assert "404" in result.stderr


def test_default_workspace_is_deleted_only_with_its_flag(cli, emulator):
    """If the account permits it."""
    emulator.settings(default_workspace_deletion=True)
    assert cli("workspaces", "rm", "default", "--yes").exit_code == 1
    flag = "--confirm-default-workspace-deletion"
    assert cli("workspaces", "rm", "default", "--yes", flag).exit_code == 0


def test_members_are_listed_added_and_removed(cli, rows, workspaces):
    """Each added member is printed, and the number of removed ones."""
    users = [row["user_id"] for row in rows("workspaces", "members", "ls", "default")]
    added = rows("workspaces", "members", "add", "lab", *users)
    assert [row["user_id"] for row in added] == users
    assert added[0].keys() == {"id", "workspace_id", "user_id", "role", "created_at"}
    lines = cli("workspaces", "members", "ls", "lab").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == users
    assert cli("workspaces", "members", "rm", "lab", users[0]).exit_code == 2
    removed = cli("workspaces", "members", "rm", "lab", users[0], "--yes")
    assert removed.stdout == "removed_count\t1\n"
    assert [member.user_id for member in workspaces.list_members("lab")] == users[1:]
    assert rows("workspaces", "members", "rm", "lab", users[0], "-y") == [{"removed_count": 0}]


def test_unknown_user_fails(cli, workspaces):
    """With the service's message."""
    result = cli("workspaces", "members", "add", "lab", "user_unknown")
    assert result.exit_code == 1
    assert "user_unknown" in result.stderr
