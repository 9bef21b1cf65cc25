import asyncio
import json
import re
import signal
from pathlib import Path

import pytest
from support.cli_runner import TERMINAL
from support.samples import FILE, KEY
from support.servers import http_response

from openrouter_async import OpenRouter

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def created(emulator, tmp_path, monkeypatch):
    """Ids of two files that the service created; the current directory is empty."""
    monkeypatch.chdir(tmp_path)
    return [emulator.create_file(f"out/{n}.bin", CONTENT)["id"] for n in range(2)]


def test_download_to_a_path(cli, created, tmp_path):
    """The one given with ``-o``."""
    result = cli("files", "download", created[0], "-o", "mine.bin")
    assert result.exit_code == 0
    assert result.stdout == f"downloaded\t{created[0]}\tmine.bin\t\n"
    assert re.fullmatch(r"10\.0 KiB in \d+\.\d s to 'mine\.bin'\n", result.stderr)
    assert (tmp_path / "mine.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("options", [["-o", "mine.bin"], ["--directory", "."]])
@pytest.mark.parametrize("terminal", [{}, TERMINAL])
def test_quiet_download_prints_the_path(cli, created, tmp_path, options, terminal):
    """And nothing else."""
    result = cli("files", "download", created[0], *options, "-q", **terminal)
    path = "mine.bin" if "-o" in options else "out/0.bin"
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{path}\n", "")


def test_download_to_standard_output(cli, created, tmp_path):
    """The content and nothing else."""
    result = cli("files", "download", created[0], "-o", "-")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, CONTENT, "")
    assert list(tmp_path.iterdir()) == []


def test_download_of_several_files_into_a_directory(cli, rows, created, tmp_path):
    """Under the service's filenames; into the current directory by default."""
    outcomes = rows("files", "download", *created, "--directory", "d")
    assert sorted(row["path"] for row in outcomes) == ["d/out/0.bin", "d/out/1.bin"]
    assert {row["status"] for row in outcomes} == {"downloaded"}
    assert {row["source"] for row in outcomes} == set(created)
    assert (tmp_path / "d/out/1.bin").read_bytes() == CONTENT
    assert cli("files", "download", created[0]).exit_code == 0
    assert (tmp_path / "out/0.bin").read_bytes() == CONTENT


def test_download_replaces_only_on_request(cli, created, tmp_path):
    """The message names the option."""
    target = tmp_path / "mine.bin"
    target.write_text("precious")
    result = cli("files", "download", created[0], "-o", "mine.bin")
    assert result.exit_code == 1
    assert "add --overwrite" in result.stderr
    assert target.read_text() == "precious"
    assert cli("files", "download", created[0], "-o", "mine.bin", "--overwrite").exit_code == 0
    assert target.read_bytes() == CONTENT


def test_existing_files_are_skipped(cli, created):
    """An interrupted run can be run again."""
    assert cli("files", "download", *created).exit_code == 0
    result = cli("files", "download", *created)
    assert result.exit_code == 0
    assert result.stderr.startswith("2 skipped in ")
    assert "already downloaded" in result.stdout


def test_download_of_an_uploaded_file_fails(cli, emulator, created):
    """With the service's message; the other files are downloaded."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        uploaded = client.files.upload(b"words", filename="a.txt").id
    result = cli("files", "download", uploaded, created[0], "--json")
    assert result.exit_code == 1
    outcomes = {row["source"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert outcomes[created[0]]["status"] == "downloaded"
    assert "not downloadable" in outcomes[uploaded]["error"]
    assert f"openrouter-async: {uploaded}: 400" in result.stderr
    assert cli("files", "download", uploaded).stdout == f"failed\t{uploaded}\t\t\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a", "b", "-o", "x"], "-o is for a single file"),
        (["a", "-o", "x", "--directory", "d"], "-o is for a single file"),
        (["a", "-o", "-", "--json"], "cannot be combined with --json"),
        (["a", "--directory", "file"], "'file' is not a directory"),
        (["out/*", "-o", "x"], "'out/*' matches 2"),
    ],
)
def test_incompatible_options_are_a_usage_error(cli, emulator, created, args, message):
    """Nothing is downloaded."""
    Path("file").touch()
    result = cli("files", "download", *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "download_file" not in {request["operation"] for request in emulator.requests()}


@pytest.mark.parametrize("args", [["-o", "x.bin"], []])
def test_download_shows_bars_on_a_terminal(cli, created, args):
    """In bytes, and the results below; the sizes of several files are retrieved first."""
    ids = created[: 1 if args else 2]
    result = cli("files", "download", *ids, *args, **TERMINAL)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", result.stderr)
    assert result.exit_code == 0
    assert all(file_id in result.stdout for file_id in ids)
    assert ("x.bin" if args else "out/1.bin") in result.stdout
    assert ("10.0/10.0 KiB" if args else "20.0/20.0 KiB") in plain


def test_download_to_a_closed_pipe_ends_without_an_error(start, emulator, monkeypatch):
    """As with ``| head -c 1000``."""
    monkeypatch.setenv("OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setenv("OPENROUTER_API_KEY", emulator.api_key)
    file_id = emulator.create_file("big.txt", b"words\n" * 500_000)["id"]
    process = start("-m", "openrouter_async", "files", "download", file_id, "-o", "-")
    assert process.stdout.readline() == "words\n"
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("options", [["-o", "x.bin"], []])
async def test_signal_leaves_no_partial_file(
    start, raw_server, tmp_path, monkeypatch, number, options
):
    """A bulk run says how to resume; the status tells which signal it was."""
    file = FILE | {"id": "or_file_000000000000000000000000"}

    async def handler(request, _):
        whole = http_response(200, CONTENT if b"/content" in request.head else file)
        if b"/content" in request.head:
            request.writer.write(whole[:5000])
            await asyncio.sleep(30)
        return whole

    server = await raw_server(handler)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENROUTER_BASE_URL", server.url)
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    process = start("-m", "openrouter_async", "files", "download", file["id"], *options)
    async with asyncio.timeout(20):
        while not list(tmp_path.glob(".*.part")):
            await asyncio.sleep(0.02)
    process.send_signal(number)
    _, errors = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == (4 if number == signal.SIGINT else 128 + number)
    assert list(tmp_path.glob(".*.part")) == []
    assert errors.splitlines()[-1].startswith("openrouter-async: interrupted")
    assert ("to resume, run the same command again" in errors) is (options == [])


def test_files_are_downloaded_by_name_and_glob(cli, rows, emulator, created, tmp_path):
    """Globs leave out uploads, which cannot be downloaded."""
    with OpenRouter(emulator.management_key, server_url=emulator.base_url) as client:
        client.files.upload(b"words", filename="out/a.txt")
    outcomes = rows("files", "download", "out/*", "out/1.bin", created[0], "--directory", "d/e")
    assert sorted(row["path"] for row in outcomes) == ["d/e/out/0.bin", "d/e/out/1.bin"]
    assert cli("files", "download", "out/0.bin", "-o", "x.bin").exit_code == 0
    assert (tmp_path / "x.bin").read_bytes() == CONTENT
    assert cli("files", "download", "out/0.bin", "-o", "-").stdout_bytes == CONTENT
    refused = cli("files", "download", "*.txt")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "*.txt: only files that the service created can be downloaded" in refused.stderr
    missing = cli("files", "download", "*.zip", "out/1.bin")
    assert missing.exit_code == 1
    assert "openrouter-async: *.zip: no file matches\n" in missing.stderr
    assert "out/1.bin" in missing.stdout
