import json

import pytest

from openrouter_async import OpenRouter

SLY = "re\x1b[2Jport\u202efdp.exe\r\n.pdf"
SHOWN = "re\\x1b[2Jport\\u202efdp.exe\\r\\n.pdf"


@pytest.fixture
def stored(emulator):
    """Five files, each a byte longer than the one before."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        return [client.files.upload(b"x" * (n + 1), filename=f"{n}.txt") for n in range(5)]


@pytest.fixture
def sly(emulator):
    """The service lists a file whose name could play with a terminal."""
    file = {
        "id": "or_file_sly",
        "filename": SLY,
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
    """For programs: no heading, sizes in bytes, times as they are."""
    result = cli("files", "ls")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[:4] for line in lines] == [
        [file.id, file.filename, str(file.size_bytes), "text/plain"] for file in stored
    ]
    assert all(line[4].endswith("Z") for line in lines)


def test_ls_on_a_terminal_is_a_table(cli, stored):
    """For people: a heading, and sizes with units."""
    result = cli("files", "ls", FORCE_COLOR="1", TERM="xterm-256color")
    assert result.exit_code == 0
    assert "filename" in result.stdout
    assert "5 bytes" in result.stdout
    assert "\x1b[1m" in result.stdout


@pytest.mark.parametrize(("width", "has_type"), [(80, False), (120, True)])
def test_names_have_room_on_a_terminal(cli, emulator, width, has_type):
    """On a narrow one the type, which few look for, is left out."""
    file = emulator.create_file("report-of-2026", b"words")
    screen = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(width)}
    shown = cli("files", "ls", **screen).stdout
    assert f" {file['id']}  report-of-2026 " in shown
    assert ("text/plain" in shown) is has_type


def test_list_that_fails_at_its_start_is_no_empty_table(cli, emulator):
    """On a terminal too; one that is empty keeps its heading."""
    screen = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "filename" in cli("files", "ls", **screen).stdout
    refused = cli("files", "ls", **screen, OPENROUTER_API_KEY="sk-or-v1-wrong")
    assert (refused.exit_code, refused.stdout) == (3, "")


def test_no_color_is_kept_to(cli, stored):
    """Nothing on the terminal has a colour."""
    result = cli("files", "info", "missing", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color")
    assert "\x1b[31m" not in result.stderr
    assert "\x1b[1;31m" not in result.stderr
    coloured = cli("files", "info", "missing", FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[1;31m" in coloured.stderr


def test_ls_is_a_page_and_says_when_more_follow(cli, stored):
    """``--limit`` is the page's size; the hint does not stand among the results."""
    result = cli("files", "ls", "--limit", 2)
    assert result.stdout.count("\n") == 2
    assert result.stderr == "more files follow: --all lists every one\n"
    quiet = cli("files", "ls", "--limit", 2, "--quiet")
    assert (quiet.stdout.count("\n"), quiet.stderr) == (2, "")


def test_ls_all_reads_every_page(cli, emulator, stored):
    """In pages of the size that was asked for."""
    result = cli("files", "ls", "--all", "--limit", 2)
    assert (result.stdout.count("\n"), result.stderr) == (5, "")
    assert len(emulator.requests()) == 5 + 3


def test_ls_prints_json_with_every_field(rows, stored):
    """One object per line, of one shape."""
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
def test_a_filename_never_controls_the_terminal(cli, sly, terminal):
    """What could move the cursor, or turn letters round, is written out."""
    result = cli("files", "ls", **terminal)
    assert SHOWN in result.stdout
    assert not {"\x1b[2J", "\u202e", "\r"} & set(result.stdout)
    assert "\x1b[2J" not in result.stdout


def test_json_holds_the_name_as_it_is(rows, sly):
    """Whoever reads JSON gets what the service said."""
    assert rows("files", "ls")[0]["filename"] == SLY


def test_info_shows_each_file(cli, rows, stored):
    """As JSON one object each; otherwise a line for each field."""
    ids = [file.id for file in stored[:2]]
    assert [row["id"] for row in rows("files", "info", *ids)] == ids
    result = cli("files", "info", ids[0])
    assert f"id\t{ids[0]}\n" in result.stdout
    assert "size_bytes\t1\n" in result.stdout
    table = cli("files", "info", ids[0], FORCE_COLOR="1", TERM="xterm-256color")
    assert "1 bytes" in table.stdout


def test_info_of_a_missing_file_is_a_failure_and_the_others_are_shown(cli, stored):
    """Status 1, and a line that names the missing one."""
    result = cli("files", "info", stored[0].id, "or_file_missing", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["id"] == stored[0].id
    assert result.stderr.startswith("openrouter-async: 404 for GET")
    assert "or_file_missing" in result.stderr
    assert result.stderr.count("\n") == 1


def test_refused_key_is_told_once(cli, stored):
    """However many files were asked for."""
    ids = [file.id for file in stored]
    result = cli("files", "info", *ids, OPENROUTER_API_KEY="sk-or-v1-wrong")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.count("\n") == 1


def test_workspace_may_be_named_by_its_slug_or_its_id(cli, emulator):
    """Files are asked for by the id that belongs to the slug."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        place = client.workspaces.create(name="Lab", slug="lab").id
        file = client.files.upload(b"words", filename="a.txt", workspace_id=place)
    for name in ("lab", place):
        result = cli("files", "ls", "--workspace", name)
        assert result.stdout.startswith(file.id)
    assert cli("files", "ls").stdout == ""
    missing = cli("files", "ls", "--workspace", "nowhere")
    assert missing.exit_code == 1
    assert "nowhere" in missing.stderr


def test_ls_stops_when_nobody_reads(start, emulator, stored, monkeypatch):
    """``| head -1`` gets its line, and no traceback follows; no further page is fetched."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.api_key)
    emulator.faults({"operation": "list_files", "skip": 1, "times": None, "delay": 0.5})
    process = start("-m", "openrouter_async", "files", "ls", "--all", "--limit", "1")
    assert process.stdout.readline().startswith(stored[0].id)
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""
    assert len([r for r in emulator.requests() if r["operation"] == "list_files"]) == 2
