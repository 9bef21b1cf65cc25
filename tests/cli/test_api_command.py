import json

import pytest
from support.cli_runner import TERMINAL


@pytest.mark.parametrize(
    "path", ["/workspaces", "workspaces", "/workspaces?offset=0", "{url}/workspaces"]
)
def test_response_is_printed_as_json(cli, emulator, path):
    """In one line in a pipe, indented on a terminal."""
    result = cli("api", "GET", path.format(url=emulator.base_url), "--query", "limit=1")
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (0, "", 1)
    assert json.loads(result.stdout)["data"][0]["slug"] == "default"
    shown = cli("api", "GET", "/workspaces", **TERMINAL).stdout
    assert '\n  "data": [\n' in shown
    assert emulator.requests()[0]["query"] == [*[["offset", "0"]] * ("?" in path), ["limit", "1"]]


@pytest.mark.parametrize("argument", ["{}", "@body.json", "-"])
def test_document_is_sent(cli, tmp_path, monkeypatch, argument):
    """From the command line, a file or standard input; the method is in any case."""
    monkeypatch.chdir(tmp_path)
    document = json.dumps({"name": "Bericht für 報告", "slug": "lab"})
    (tmp_path / "body.json").write_text(document)
    body = document if argument == "{}" else argument
    result = cli("api", "post", "/workspaces", "--json-body", body, stdin=document)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.isascii()
    assert json.loads(result.stdout)["data"]["name"] == "Bericht für 報告"
    deleted = cli("api", "DELETE", "workspaces/lab")
    assert json.loads(deleted.stdout) == {"deleted": True}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["FETCH", "/files"], "unknown method 'FETCH': expected one of GET, POST"),
        (["GET", "/"], "a path consists of names between slashes"),
        (["GET", "/files/../keys"], "a path consists of names between slashes"),
        (["GET", "/files/%2e%2E/keys"], "a path consists of names between slashes"),
        (["GET", "/files/{file_id}"], "replace the braces by a value: '/files/{file_id}'"),
        (["GET", "https://example.com/files"], "is not below the server's URL"),
        (["GET", "/files", "--query", "limit"], "invalid query parameter 'limit'"),
        (["GET", "/files?limit=1", "--query", "limit=2"], "'limit' is given twice"),
        (["GET", "/files", "--json-body", "{}"], "a GET has no body"),
        (["POST", "/workspaces", "--json-body", "{name: 1}"], "--json-body is not JSON"),
        (["POST", "/workspaces", "--json-body", "[NaN]"], "NaN is not a JSON number"),
        (["POST", "/workspaces", "--json-body", "@nowhere"], "cannot read 'nowhere': No such file"),
    ],
)
def test_mistake_is_a_usage_error(cli, emulator, args, message):
    """One line, and nothing is sent."""
    result = cli("api", *args)
    assert (result.exit_code, result.stdout, emulator.requests()) == (2, "", [])
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["GET", "/nonsense"], "404 for GET"),
        (["PATCH", "/files"], "405 for PATCH"),
        (["GET", "/workspaces/nowhere"], "404 for GET"),
    ],
)
def test_unknown_endpoint_is_the_service_s_error(cli, args, message):
    """Status 1, with the method and the path."""
    result = cli("api", *args)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert args[1] in result.stderr


def test_response_without_content_prints_nothing(cli, emulator):
    """A 204 is a success."""
    emulator.faults({"operation": "list_files", "status": 204, "body": "", "times": 1})
    result = cli("api", "GET", "/files")
    assert (result.exit_code, result.output) == (0, "")
