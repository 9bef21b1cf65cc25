import pytest
from support.cli_runner import TERMINAL

from openrouter_async import OpenRouter

BUDGETS = ["workspaces", "budgets"]


@pytest.fixture
def budgets(emulator):
    """The limits of the workspace ``lab``, by interval."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        client.workspaces.create(name="Laboratory", slug="lab")
        yield lambda: {
            budget.reset_interval or "lifetime": budget.limit_usd
            for budget in client.workspaces.list_budgets("lab").data
        }


def test_set_writes_limits_in_an_order_that_the_service_accepts(cli, budgets, emulator):
    """Raised and lowered again; no write is refused."""
    high = {"monthly": 500, "weekly": 100, "daily": 20, "lifetime": 1000}
    low = {"daily": 1, "weekly": 2, "monthly": 3, "lifetime": 4}
    for limits in (low, high, low):
        args = [str(word) for name, usd in limits.items() for word in (f"--{name}", usd)]
        result = cli(*BUDGETS, "set", "lab", *args)
        assert result.exit_code == 0, result.stderr
        assert len(result.stdout.splitlines()) == 4
        assert budgets() == limits
    assert {request["status"] for request in emulator.requests()} <= {200, 201}


def test_set_prints_each_budget(rows, budgets):
    """With its interval, also ``lifetime``, for which the service sends null."""
    (row,) = rows(*BUDGETS, "set", "lab", "--lifetime", "12.5")
    assert row.keys() == {
        "interval",
        "id",
        "workspace_id",
        "limit_usd",
        "reset_interval",
        "created_at",
        "updated_at",
    }
    assert (row["interval"], row["limit_usd"]) == ("lifetime", 12.5)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--weekly", "100"], "the weekly limit ($100) must be above the daily limit ($100)"),
        (["--weekly", "500"], "the monthly limit ($500) must be above the weekly limit ($500)"),
        (["--monthly", "50"], "the monthly limit ($50) must be above the daily limit ($100)"),
        (["--lifetime", "1", "--weekly", "2"], "the lifetime limit ($1) must be above"),
        ([], "no limit given: add --lifetime, --monthly, --weekly or --daily"),
        (["--daily", "0"], "the daily limit must be a number of US dollars above 0, not 0"),
        (
            ["--monthly", "600", "--daily=-1"],
            "the daily limit must be a number of US dollars above 0, not -1",
        ),
        (["--daily", "nan"], "above 0, not nan"),
        (["--lifetime", "inf"], "above 0, not inf"),
    ],
)
def test_set_checks_all_limits_before_the_first_write(cli, budgets, args, message):
    """Existing limits included; status 2, and no budget changes."""
    assert cli(*BUDGETS, "set", "lab", "--monthly", "500", "--daily", "100").exit_code == 0
    result = cli(*BUDGETS, "set", "lab", *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert budgets() == {"monthly": 500, "daily": 100}


def test_byok_is_set_with_the_budget(cli, emulator, budgets):
    """On, off, or unchanged."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        for option, expected in (("--byok", True), (None, True), ("--no-byok", False)):
            cli(*BUDGETS, "set", "lab", "--daily", "5", *([option] if option else []))
            assert client.workspaces.list_budgets("lab").include_byok_in_budgets is expected


def test_ls_lists_the_widest_interval_first(cli, budgets):
    """With its limit and time."""
    cli(*BUDGETS, "set", "lab", "--daily", "5", "--lifetime", "50")
    lines = [line.split("\t")[:2] for line in cli(*BUDGETS, "ls", "lab").stdout.splitlines()]
    assert [(name, float(limit)) for name, limit in lines] == [("lifetime", 50), ("daily", 5)]
    table = cli(*BUDGETS, "ls", "lab", **TERMINAL).stdout
    assert "limit usd" in table


def test_rm_removes_budgets(cli, rows, budgets):
    """With ``--yes``; a budget that does not exist is not an error."""
    cli(*BUDGETS, "set", "lab", "--daily", "5", "--lifetime", "50")
    refused = cli(*BUDGETS, "rm", "lab", "daily")
    assert refused.exit_code == 2
    assert "add --yes" in refused.stderr
    assert rows(*BUDGETS, "rm", "lab", "daily", "weekly", "--yes") == [
        {"workspace": "lab", "interval": "weekly", "status": "deleted"},
        {"workspace": "lab", "interval": "daily", "status": "deleted"},
    ]
    assert budgets() == {"lifetime": 50}


def test_rm_refuses_an_unknown_interval(cli, budgets):
    """A usage error that lists the valid ones."""
    result = cli(*BUDGETS, "rm", "lab", "yearly", "--yes")
    assert result.exit_code == 2
    assert "lifetime, monthly, weekly, daily" in result.stderr
