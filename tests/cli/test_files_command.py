import io
import json
import re
import time

import pytest
from rich.console import Console
from support.cli_runner import TERMINAL

from openrouter_async import OpenRouter
from openrouter_async.cli import _output

MALICIOUS = "re\x1b[2Jport\u202efdp.exe\r\n.pdf"
ESCAPED = "re\\x1b[2Jport\\u202efdp.exe\\r\\n.pdf"


@pytest.fixture
def stored(emulator):
    """Five files of 1 to 5 bytes."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        return [client.files.upload(b"x" * (n + 1), filename=f"{n}.txt") for n in range(5)]


@pytest.fixture
def malicious(emulator):
    """The service lists a file whose name contains control characters."""
    file = {
        "id": "or_file_malicious",
        "filename": MALICIOUS,
        "size_bytes": 2048,
        "mime_type": "application/pdf",
        "created_at": "2026-01-02T03:04:05Z",
        "downloadable": False,
        "type": "file",
    }
    page = {"data": [file], "has_more": False, "first_id": None, "last_id": None, "cursor": None}
    emulator.faults(
        {"operation": "list_files", "status": 200, "times": None, "body": json.dumps(page)}
    )


def test_ls_in_a_pipe_is_lines_with_tabs(cli, stored):
    """No heading, sizes in bytes, full times."""
    result = cli("files", "ls")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[:4] for line in lines] == [
        [file.id, file.filename, str(file.size_bytes), "text/plain"] for file in stored
    ]
    assert all(line[4].endswith("Z") for line in lines)


def test_ls_on_a_terminal_is_a_table(cli, stored):
    """With a heading, and sizes with units."""
    result = cli("files", "ls", **TERMINAL)
    assert result.exit_code == 0
    assert "filename" in result.stdout
    assert "5 bytes" in result.stdout
    assert "\x1b[1m" in result.stdout


@pytest.mark.parametrize(("width", "has_type"), [(80, False), (120, True)])
def test_narrow_terminal_shows_no_type(cli, emulator, width, has_type):
    """The names get its space."""
    file = emulator.create_file("report.txt", b"words")
    screen = {**TERMINAL, "COLUMNS": str(width)}
    shown = cli("files", "ls", **screen).stdout
    assert f" {file['id']}  report.txt " in shown
    assert ("text/plain" in shown) is has_type


LONG = "2026/a long folder name/report of the third quarter.txt"


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_narrow_terminal_folds_names_and_never_cuts_an_id(cli, emulator, width):
    """In every table and in every list of fields."""
    file_id = emulator.create_file(LONG, b"words")["id"]
    screen = {**TERMINAL, "COLUMNS": str(width)}
    for command in (["files", "ls"], ["files", "info", file_id], ["workspaces", "ls"]):
        shown = cli(*command, **screen).stdout
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
        assert max(map(len, plain.splitlines())) <= width
        squeezed = re.sub(r"\s", "", plain)
        assert "Default" in squeezed if "workspaces" in command else file_id in squeezed
        if width >= 40:
            ids = r"[0-9a-f-]{36}" if "workspaces" in command else file_id
            assert re.search(rf"(?m)(^|\s){ids}($|\s)", plain), plain
        for part in LONG.split() if "files" in command else ():
            assert part in squeezed or width < 80


def test_id_that_is_wider_than_the_terminal_is_folded():
    """Down to the least width that anybody has."""
    rows = [{"id": "x" * 50, "filename": "a.txt", "size_bytes": 1}]
    console = Console(width=20, file=io.StringIO())
    console.print(_output._fitting_table(("id", "filename", "size_bytes"), rows, 20))
    assert re.sub(r"\s", "", console.file.getvalue()) == "x" * 50 + "a.txt1bytes"


@pytest.mark.parametrize(("zone", "offset"), [("Asia/Kolkata", "+05:30"), ("UTC", "+00:00")])
def test_times_on_a_terminal_are_local_with_their_offset(cli, monkeypatch, malicious, zone, offset):
    """Lines and JSON keep the service's."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        shown = cli("files", "ls", **TERMINAL).stdout
        assert f"{'08:34' if offset == '+05:30' else '03:04'}{offset}" in shown
        assert "2026-01-02T03:04:05Z" in cli("files", "ls").stdout
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "soon"])
def test_time_that_has_no_local_form_is_shown_as_it_is(monkeypatch, text):
    """At the ends of the calendar."""
    monkeypatch.setenv("TZ", "America/New_York" if text[0] == "0" else "Asia/Tokyo")
    time.tzset()
    try:
        assert _output._human("created_at", text) == text
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "name", ["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "GITHUB_ACTIONS"]
)
def test_pipe_is_no_terminal_whatever_the_environment_says(cli, stored, name):
    """CI systems set such variables; the stream decides on the format."""
    result = cli("files", "ls", **{name: "1", "TTY_INTERACTIVE": "1"})
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [f.id for f in stored]
    assert "\x1b" not in result.stdout
    failed = cli("files", "info", "missing", **{name: "1"})
    assert ("\x1b[1;31m" in failed.stderr) is name.endswith(("COLOR", "FORCE"))


@pytest.mark.parametrize("env", [{"FORCE_COLOR": ""}, {"FORCE_COLOR": "0"}, {"CLICOLOR": "0"}])
def test_terminal_is_one_whatever_the_environment_says(cli, stored, env):
    """A table."""
    result = cli("files", "ls", **TERMINAL, **env)
    assert "filename" in result.stdout


def test_list_that_fails_prints_no_table(cli, emulator):
    """An empty list is a table with a heading."""
    screen = TERMINAL
    assert "filename" in cli("files", "ls", **screen).stdout
    refused = cli("files", "ls", **screen, OPENROUTER_API_KEY="sk-or-v1-wrong")
    assert (refused.exit_code, refused.stdout) == (3, "")


def test_no_color_is_respected(cli, stored):
    """Nothing on the terminal is coloured."""
    result = cli("files", "info", "missing", NO_COLOR="1", **TERMINAL)
    assert "\x1b[31m" not in result.stderr
    assert "\x1b[1;31m" not in result.stderr
    coloured = cli("files", "info", "missing", **TERMINAL)
    assert "\x1b[1;31m" in coloured.stderr


def test_ls_prints_one_page_and_notes_that_there_are_more(cli, stored):
    """``--limit`` is the page size; the note goes to stderr."""
    result = cli("files", "ls", "--limit", 2)
    assert result.stdout.count("\n") == 2
    assert result.stderr == "there are more files: use --all to list them\n"
    quiet = cli("files", "ls", "--limit", 2, "--quiet")
    assert (quiet.stdout.count("\n"), quiet.stderr) == (2, "")


def test_ls_all_reads_every_page(cli, emulator, stored):
    """In pages of the given size."""
    result = cli("files", "ls", "--all", "--limit", 2)
    assert (result.stdout.count("\n"), result.stderr) == (5, "")
    assert len(emulator.requests()) == 5 + 3


def test_ls_prints_json_with_every_field(rows, stored):
    """One object per line, all with the same fields."""
    listed = rows("files", "ls")
    assert [row["id"] for row in listed] == [file.id for file in stored]
    assert listed[0].keys() == {
        "id",
        "filename",
        "size_bytes",
        "created_at",
        "mime_type",
        "downloadable",
        "type",
        "purpose",
        "status",
        "_shape",
    }


@pytest.mark.parametrize("terminal", [{}, TERMINAL])
def test_filename_cannot_control_the_terminal(cli, malicious, terminal):
    """Control and bidirectional characters are escaped."""
    result = cli("files", "ls", **terminal)
    assert ESCAPED in result.stdout
    assert not {"\x1b[2J", "\u202e", "\r"} & set(result.stdout)
    assert "\x1b[2J" not in result.stdout


def test_json_contains_the_unchanged_filename(rows, malicious):
    """JSON has its own escapes."""
    assert rows("files", "ls")[0]["filename"] == MALICIOUS


def test_info_shows_each_file(cli, rows, stored):
    """As JSON objects, or a line for each field."""
    ids = [file.id for file in stored[:2]]
    assert [row["id"] for row in rows("files", "info", *ids)] == ids
    result = cli("files", "info", ids[0])
    assert f"id\t{ids[0]}\n" in result.stdout
    assert "size_bytes\t1\n" in result.stdout
    table = cli("files", "info", ids[0], **TERMINAL)
    assert "1 bytes" in table.stdout


def test_info_of_a_missing_file_fails_and_the_others_are_shown(cli, stored):
    """Status 1, and a line that names the missing file."""
    result = cli("files", "info", stored[0].id, "or_file_missing", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["id"] == stored[0].id
    assert result.stderr.startswith("openrouter-async: 404 for GET")
    assert "or_file_missing" in result.stderr
    assert result.stderr.count("\n") == 1


def test_refused_key_is_reported_once(cli, stored):
    """For any number of files."""
    ids = [file.id for file in stored]
    result = cli("files", "info", *ids, OPENROUTER_API_KEY="sk-or-v1-wrong")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.count("\n") == 1


def test_workspace_is_a_slug_or_an_id(cli, emulator):
    """The slug's id is looked up."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        workspace = client.workspaces.create(name="Lab", slug="lab").id
        file = client.files.upload(b"words", filename="a.txt", workspace_id=workspace)
    for name in ("lab", workspace):
        result = cli("files", "ls", "--workspace", name)
        assert result.stdout.startswith(file.id)
    assert cli("files", "ls").stdout == ""
    missing = cli("files", "ls", "--workspace", "nowhere")
    assert missing.exit_code == 1
    assert "nowhere" in missing.stderr


def test_ls_stops_when_its_output_is_closed(start, emulator, stored, monkeypatch):
    """As with ``| head -1``: no traceback, and no further page is fetched."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.api_key)
    emulator.faults({"operation": "list_files", "skip": 1, "times": None, "delay": 0.5})
    process = start("-m", "openrouter_async", "files", "ls", "--all", "--limit", "1")
    assert process.stdout.readline().startswith(stored[0].id)
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""
    assert len([r for r in emulator.requests() if r["operation"] == "list_files"]) == 2


def test_ls_lists_all_that_match(cli, rows, stored):
    """From all pages."""
    assert [row["filename"] for row in rows("files", "ls", "--match", "[1-3].*", "--limit", 2)] == [
        "1.txt",
        "2.txt",
        "3.txt",
    ]
    assert cli("files", "ls", "--match", "*.zip").stdout == ""


@pytest.mark.parametrize(
    ("order", "names"),
    [("name", ["a", "b", "c"]), ("size", ["b", "c", "a"]), ("date", ["c", "a", "b"])],
)
def test_ls_sorts_all_files(rows, emulator, order, names):
    """In ascending order, or in reverse."""
    for name, size in (("c", 2), ("a", 3), ("b", 1)):
        emulator.create_file(name, b"x" * size)
    listed = [row["filename"] for row in rows("files", "ls", "--sort", order, "--limit", 2)]
    assert listed == names
    back = [row["filename"] for row in rows("files", "ls", "--sort", order, "--reverse")]
    assert back == names[::-1]


def test_reverse_needs_an_order(cli, emulator):
    """The list itself has one direction."""
    result = cli("files", "ls", "--reverse")
    assert (result.exit_code, emulator.requests()) == (2, [])
    assert "add --sort name, size or date" in result.stderr


def test_info_takes_names_and_globs(cli, rows, stored):
    """Each file once, in the order of the words."""
    shown = rows("files", "info", "3.txt", "[0-1].txt", stored[0].id)
    assert [row["filename"] for row in shown] == ["3.txt", "0.txt", "1.txt"]
    missing = cli("files", "info", "9.txt", "2.txt")
    assert (missing.exit_code, missing.stderr) == (1, "openrouter-async: 9.txt: no file matches\n")
    assert stored[2].id in missing.stdout
