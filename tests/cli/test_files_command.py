import json

import pytest

from openrouter_async import OpenRouter

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
    result = cli("files", "ls", FORCE_COLOR="1", TERM="xterm-256color")
    assert result.exit_code == 0
    assert "filename" in result.stdout
    assert "5 bytes" in result.stdout
    assert "\x1b[1m" in result.stdout


@pytest.mark.parametrize(("width", "has_type"), [(80, False), (120, True)])
def test_narrow_terminal_shows_no_type(cli, emulator, width, has_type):
    """The names get its space."""
    file = emulator.create_file("report-of-2026", b"words")
    screen = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(width)}
    shown = cli("files", "ls", **screen).stdout
    assert f" {file['id']}  report-of-2026 " in shown
    assert ("text/plain" in shown) is has_type


def test_list_that_fails_prints_no_table(cli, emulator):
    """An empty list is a table with a heading."""
    screen = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "filename" in cli("files", "ls", **screen).stdout
    refused = cli("files", "ls", **screen, OPENROUTER_API_KEY="sk-or-v1-wrong")
    assert (refused.exit_code, refused.stdout) == (3, "")


def test_no_color_is_respected(cli, stored):
    """Nothing on the terminal is coloured."""
    result = cli("files", "info", "missing", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert "\x1b[31m" not in result.stderr
    assert "\x1b[1;31m" not in result.stderr
    coloured = cli("files", "info", "missing", FORCE_COLOR="1", TERM="xterm-256color")
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
        "shape",
    }


@pytest.mark.parametrize("terminal", [{}, {"FORCE_COLOR": "1", "TERM": "xterm-256color"}])
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
    table = cli("files", "info", ids[0], FORCE_COLOR="1", TERM="xterm-256color")
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
