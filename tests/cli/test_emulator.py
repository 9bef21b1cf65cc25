import json
import os
import re
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from attrs import evolve
from support.console import Console

from openrouter_async import OpenRouter
from openrouter_async.emulator import Emulator

RUNNING = Emulator(
    base_url="http://127.0.0.1:8787/api/v1",
    api_key="sk-one",
    management_key="sk-two",
    admin_token="token",
)


@pytest.fixture
def serving(monkeypatch):
    """Replaces `serve` by a function that starts, records its arguments, and may raise."""
    calls = []

    def replace(error=None, running=RUNNING):
        def serve(data, *, on_start, **options):
            calls.append({"data": data, **options})
            on_start(running)
            if error is not None:
                raise error

        monkeypatch.setattr("openrouter_async.emulator.serve", serve)
        return calls

    return replace


def read_until(process, text):
    lines = ""
    while text not in lines:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        lines += line
    return lines


def test_printed_lines_configure_a_client(start, temporary, tmp_path):
    """The two lines to paste are enough, and Ctrl-C ends the emulator with status 0."""
    file = tmp_path / "note.txt"
    file.write_text("some words")
    process = start("-m", "openrouter_async", "emulator", "--port", "0")
    printed = read_until(process, "Ctrl-C")
    pasted = dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE))
    assert pasted.keys() == {"OPENROUTER_BASE_URL", "OPENROUTER_API_KEY"}
    with OpenRouter(
        pasted["OPENROUTER_API_KEY"], server_url=pasted["OPENROUTER_BASE_URL"]
    ) as client:
        assert client.files.upload(file).size_bytes == 10
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
    assert time.monotonic() - started < 2
    assert (process.returncode, output) == (0, "\nStopped.\n")
    assert re.fullmatch(r"\d\d:\d\d:\d\d POST /api/v1/files 200, \d+ ms\n", errors)
    assert list(temporary.iterdir()) == []


def test_emulator_goes_on_when_its_output_is_closed(start):
    """As with ``| head -1``, and without an error at the end."""
    process = start("-m", "openrouter_async", "emulator", "--port", "0", "--quiet")
    url = process.stdout.readline().split()[-1]
    process.stdout.close()
    with OpenRouter("sk-or-v1-emulator", server_url=url) as client:
        assert list(client.files.list()) == []
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    assert process.stderr.read() == ""


def test_keys_can_be_chosen(start):
    """They are printed, and the management key opens workspaces."""
    arguments = ["--port", "0", "--api-key", "sk-mine", "--management-key", "sk-all"]
    process = start("-m", "openrouter_async", "emulator", *arguments)
    printed = read_until(process, "Ctrl-C")
    assert "export OPENROUTER_API_KEY=sk-mine\n" in printed
    url = re.search("OPENROUTER_BASE_URL=(.*)", printed)[1]
    with OpenRouter("sk-all", server_url=url) as client:
        assert [workspace.slug for workspace in client.workspaces.list()] == ["default"]


def test_requests_are_lines_on_stderr_unless_quiet(start):
    """Results stay alone on stdout; a control character in a path is sent and shown escaped."""
    for quiet, lines in [((), 2), (("--quiet",), 0)]:
        arguments = ["--port", "0", "--json", "--admin-token", "my-token", *quiet]
        process = start("-m", "openrouter_async", "emulator", *arguments)
        started = json.loads(process.stdout.readline())
        assert started["admin_token"] == "my-token"
        url = started["base_url"]
        assert httpx.get(f"{url}/%1b").status_code == 404
        Emulator(**started).faults({"status": 500})
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
        assert output == ""
        assert len(errors.splitlines()) == lines
        assert all(secret not in errors for secret in list(started.values())[1:])


def test_a_closed_stderr_does_not_stop_the_emulator(start):
    process = start("-m", "openrouter_async", "emulator", "--port", "0")
    url = process.stdout.readline().split()[-1]
    process.stderr.close()
    for _ in range(3):
        assert httpx.get(url).status_code == 404
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


def test_the_containers_of_the_compose_file_reach_each_other(start, tmp_path, monkeypatch):
    """The emulator with the arguments of the compose file, and a client with its environment."""
    address = address_of_this_machine()
    compose = (Path(__file__).parents[1] / "examples" / "compose.yaml").read_text()
    command = re.search(r"exec openrouter-async (emulator .*)\"$", compose, re.MULTILINE)[1]
    command = command.replace("/var/lib/openrouter", str(tmp_path / "data"))
    process = start("-m", "openrouter_async", *command.split(), "--port", "0", "--json")
    port = urlsplit(json.loads(process.stdout.readline())["base_url"]).port
    environment = dict(
        re.findall(r"^      (OPENROUTER_\w+): \"?([^\"\n]+)\"?$", compose, re.MULTILINE)
    )
    assert environment.keys() == {
        "OPENROUTER_BASE_URL",
        "OPENROUTER_API_KEY",
        "OPENROUTER_ALLOW_INSECURE",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("openrouter:8787", f"{address}:{port}"))
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with OpenRouter() as client:
        assert client.files.upload(b"words", filename="a.txt").size_bytes == 5


def test_the_image_is_healthy_and_ends_in_time_although_streams_are_open(start):
    """With the commands of the Dockerfile: a page that waits for events, and half an upload."""
    dockerfile = (Path(__file__).parents[1] / "examples" / "Dockerfile").read_text()
    found = re.findall(
        r"^(?:ENTRYPOINT|CMD|HEALTHCHECK .*CMD) (.*)$", dockerfile.replace("\\\n", ""), re.MULTILINE
    )
    (_, _, check), (_, *entry), options = map(json.loads, found)
    process = start("-m", "openrouter_async", *entry, *options, "--port", "0", "--json")
    started = json.loads(process.stdout.readline())
    address = urlsplit(started["base_url"]).netloc
    exec(check.replace("127.0.0.1:8787", address), {})
    upload = (
        f"POST /api/v1/files HTTP/1.1\r\nHost: {address}\r\nContent-Length: 99\r\n"
        f"Authorization: Bearer {started['api_key']}\r\n"
        "Content-Type: multipart/form-data; boundary=XX\r\n\r\n--XX"
    )
    with (
        Console(started["console_url"]) as console,
        console.client.stream("GET", f"{console.root}console/events") as events,
        socket.create_connection(address.split(":")) as connection,
    ):
        assert events.status_code == 200
        connection.sendall(upload.encode())
        emulator = Emulator(**started)
        while not emulator.requests():
            pass
        sent = time.monotonic()
        process.terminate()
        process.communicate(timeout=10)
        assert time.monotonic() - sent < 2
        assert process.returncode == 0


def address_of_this_machine():
    """Return an address of this machine that is not a loopback one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        pytest.skip("this machine has no address that others could reach")
    return address


def test_data_directory_is_kept(start, tmp_path):
    """With ``--data`` the next start finds the files of the last one."""
    arguments = ["-m", "openrouter_async", "emulator", "--port", "0", "--data", str(tmp_path / "d")]
    ids = []
    for _ in range(2):
        process = start(*arguments)
        url = re.search("OPENROUTER_BASE_URL=(.*)", read_until(process, "Ctrl-C"))[1]
        with OpenRouter("sk-or-v1-emulator", server_url=url) as client:
            if not ids:
                ids.append(client.files.upload(b"words", filename="a.txt").id)
            assert [file.id for file in client.files.list()] == ids
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_port_in_use_is_one_line(execute):
    """It names the port and the option, with status 1 and without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = execute("-m", "openrouter_async", "emulator", "--port", str(port))
    hint = "choose another with --port, or use --port 0"
    message = f"openrouter-async: port {port} on 127.0.0.1 is already in use: {hint}\n"
    assert result == (1, "", message)


def test_port_in_use_is_one_line_in_this_process(run):
    """The same without a subprocess."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run("emulator", "--port", str(other.getsockname()[1]))
    assert result.exit_code == 1
    assert "is already in use" in result.stderr


def test_options_reach_the_emulator(run, serving, tmp_path):
    """Each option is passed to `serve`."""
    calls = serving()
    arguments = ["--host", "0.0.0.0", "--port", "9", "--data", str(tmp_path), "--allow-remote"]
    assert (
        run(
            "emulator", *arguments, "--api-key", "a", "--management-key", "m", "--admin-token", "t"
        ).exit_code
        == 0
    )
    assert calls == [
        {
            "data": tmp_path,
            "host": "0.0.0.0",
            "port": 9,
            "api_key": "a",
            "management_key": "m",
            "admin_token": "t",
            "allow_remote": True,
            "console": True,
        }
    ]


def test_the_console_can_be_off_or_opened(run, serving, monkeypatch):
    """Its link goes to the browser that the machine prefers."""
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    calls = serving(running=evolve(RUNNING, console_url="http://127.0.0.1:8787/link"))
    assert "http://127.0.0.1:8787/link" in run("emulator").output
    assert opened == []
    run("emulator", "--open")
    assert opened == ["http://127.0.0.1:8787/link"]
    run("emulator", "--no-console")
    assert [call["console"] for call in calls] == [True, True, False]


def test_early_interrupt_is_not_an_error(run, serving):
    """Ctrl-C before the server handles signals."""
    serving(KeyboardInterrupt())
    result = run("emulator")
    assert result.exit_code == 0
    assert result.output.endswith("Stopped.\n")


def test_url_and_keys_are_printed(run, serving):
    """With unindented lines to paste."""
    serving()
    output = run("emulator").output
    for value in (RUNNING.base_url, "sk-one", "sk-two", "token"):
        assert value in output
    assert "\nexport OPENROUTER_BASE_URL=http://127.0.0.1:8787/api/v1\n" in output
    assert "\nexport OPENROUTER_API_KEY=sk-one\n" in output


def test_url_and_keys_are_printed_as_json(run, serving):
    """One object, and nothing at the end."""
    serving()
    result = run("emulator", "--json")
    assert json.loads(result.stdout) == {
        "base_url": RUNNING.base_url,
        "api_key": "sk-one",
        "management_key": "sk-two",
        "admin_token": "token",
        "console_url": None,
    }
    assert "Stopped" not in run("emulator", "--quiet").output


def test_remote_address_needs_an_option(run):
    """The error names ``--allow-remote``."""
    result = run("emulator", "--host", "0.0.0.0", "--port", "0")
    assert result.exit_code == 1
    assert "--allow-remote" in result.stderr
    assert result.stderr.count("\n") == 1


def test_data_directory_with_other_files_is_refused(run, tmp_path):
    """They stay untouched."""
    (tmp_path / "thesis.txt").write_text("ten years of work")
    result = run("emulator", "--port", "0", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_as_data_directory_is_not_blamed_on_the_address(run, tmp_path):
    file = tmp_path / "thesis.txt"
    file.write_text("ten years of work")
    result = run("emulator", "--port", "0", "--data", str(file))
    expected = f"openrouter-async: {file} is a file: the emulator needs a directory for its data\n"
    assert (result.exit_code, result.stderr) == (1, expected)


def test_a_running_emulator_is_controlled_from_the_shell(cli, emulator):
    """With the token as an option or in the environment; the admin routes get nothing invalid."""
    token = {"OPENROUTER_EMULATOR_TOKEN": emulator.admin_token}
    rule = '{"operation": "upload_file", "status": 429, "retry_after": "0"}'
    assert cli("emulator", "faults", rule, **token).exit_code == 0
    with OpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
        client.files.upload(b"words", filename="a.txt")
    shown = cli("emulator", "faults", "--admin-token", emulator.admin_token).stdout
    assert shown.split("\t")[:2] == ["upload_file", "429"]
    sent = cli("emulator", "requests", "--json", **token).stdout.splitlines()
    assert [json.loads(line)["status"] for line in sent] == [429, 200]
    assert cli("emulator", "faults", "--clear", **token).stdout == ""
    assert cli("emulator", "reset", "--yes", **token).exit_code == 0
    assert emulator.requests() == []


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        (["requests"], "", "set OPENROUTER_EMULATOR_TOKEN"),
        (["requests"], "secret\n", "a header cannot carry"),
        (["requests"], "secret", "The admin token is missing or wrong"),
        (["requests", "--url", "http://192.0.2.1/api/v1"], "secret", "URL of this machine"),
        (["requests", "--url", "http://127.0.0.1:1/api/v1"], "secret", "no emulator responds"),
        (["faults", "{"], "secret", "a rule must be JSON"),
        (["faults", '{"status": 7}'], "secret", "rules[0]: 'status' must be"),
        (["faults", "--clear", "{}"], "secret", "--clear cannot be combined"),
    ],
)
def test_what_cannot_control_an_emulator_is_one_line(cli, arguments, token, message):
    result = cli("emulator", *arguments, OPENROUTER_EMULATOR_TOKEN=token)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr
    assert "secret" not in result.output
