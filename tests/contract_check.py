"""The emulator beside the service's OpenAPI document: ``python tests/contract_check.py FILE``.

Schemathesis sends requests that fit the document and requests that do not, and checks every
answer: its status, its type and its content are documented, and none is a server's error.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from openrouter_async.emulator import Emulator, run_emulator
from openrouter_async.operations import find_operations

CHECKS = (
    "allow_header_conformance",
    "content_type_conformance",
    "ensure_resource_availability",
    "ignored_auth",
    "missing_required_header",
    "negative_data_rejection",
    "not_a_server_error",
    "response_headers_conformance",
    "response_schema_conformance",
    "status_code_conformance",
    "unsupported_method",
    "use_after_free",
)
EXAMPLES = {"management": "60", "ordinary": "10"}
"""Random requests for each operation, by the key that they carry."""

MALFORMED = "a query that breaks its schema is refused here as it is in the other operations"
NO_MANAGEMENT = "an ordinary key is refused here as it is in the other operations on workspaces"
EXCEPTIONS = {
    ("GET", "/files/{file_id}", 400): MALFORMED,
    ("DELETE", "/files/{file_id}", 400): MALFORMED,
    ("GET", "/workspaces", 400): MALFORMED,
    ("GET", "/workspaces/{id}/members", 400): MALFORMED,
    ("GET", "/workspaces", 403): NO_MANAGEMENT,
    ("GET", "/workspaces/{id}", 403): NO_MANAGEMENT,
    ("GET", "/workspaces/{id}/budgets", 403): NO_MANAGEMENT,
    ("GET", "/workspaces/{id}/budgets/{interval}", 403): NO_MANAGEMENT,
    ("PUT", "/workspaces/{id}/budgets/{interval}", 403): NO_MANAGEMENT,
    ("DELETE", "/workspaces/{id}/budgets/{interval}", 403): NO_MANAGEMENT,
}
"""What the emulator answers though the document does not list it, and why."""

Document = dict[str, Any]
Seen = set[tuple[str, str, int]]


def main(source: Path) -> int:
    """Check all operations with both keys; the exit status is 1 where anything is wrong."""
    document = yaml.safe_load(source.read_text())
    paths = document["paths"]
    document["paths"] = {p: item for p, item in paths.items() if unnamed(p) in served()}
    for (method, path, status), reason in EXCEPTIONS.items():
        # In the words in which other operations document it.
        known = paths["/workspaces"]["post"]["responses"][str(status)]
        paths[path][method.lower()]["responses"][str(status)] = known | {"description": reason}
    seen: Seen = set()
    with tempfile.TemporaryDirectory() as name, run_emulator() as emulator:
        ends = [run(document, emulator, key, Path(name), seen) for key in EXAMPLES]
    problems = [*missing(document, seen)]
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if any(ends) or problems else 0


def run(document: Document, emulator: Emulator, key: str, folder: Path, seen: Seen) -> int:
    """One run with one of the keys; what was answered is added to ``seen``."""
    emulator.reset()
    emulator.providers(openai=True, anthropic=True)
    show_a_download(document, emulator.create_file("made.bin", b"made")["id"])
    amended, report = folder / "openapi.yaml", folder / f"{key}.har"
    amended.write_text(yaml.safe_dump(document))
    secret = emulator.management_key if key == "management" else emulator.api_key
    command = ["schemathesis", "run", amended, "--url", emulator.base_url, "--seed", "1"]
    command += ["--header", f"Authorization: Bearer {secret}", "--max-examples", EXAMPLES[key]]
    command += ["--checks", ",".join(CHECKS), "--report-har-path", report]
    command += ["--generation-database", "none", "--continue-on-failure", "--warnings", "off"]
    end = subprocess.run(command, check=False, cwd=folder).returncode
    for entry in json.loads(report.read_text())["log"]["entries"]:
        method, path = entry["request"]["method"], urlsplit(entry["request"]["url"]).path
        found = template(document, path.removeprefix(urlsplit(emulator.base_url).path))
        seen.add((method, found, entry["response"]["status"]))
    return end


def show_a_download(document: Document, file_id: str) -> None:
    """Let an example name a file that can be downloaded, where it is: no request makes one."""
    path, *query = document["paths"]["/files/{file_id}/content"]["get"]["parameters"]
    path["schema"]["example"] = file_id
    for described in (*query, *(p["schema"] for p in query)):
        described.pop("example", None)
    document["components"]["schemas"]["FileProvider"].pop("example", None)


def missing(document: Document, seen: Seen) -> Iterator[str]:
    """What no answer showed: operations that never succeeded, exceptions that never came."""
    succeeded = {(method, path) for method, path, status in seen if status < 300}
    for path, item in document["paths"].items():
        for method in item:
            if (method.upper(), path) not in succeeded:
                yield f"{method.upper()} {path} never succeeded"
    for method, path, status in EXCEPTIONS.keys() - seen:
        yield f"{method} {path} never gave {status}: drop the exception"


def served() -> set[str]:
    """The paths of the SDK's operations, which are the emulator's."""
    return {unnamed(operation.path) for operation in find_operations().values()}


def unnamed(path: str) -> str:
    """A path without its parameters' names, of which the document has others."""
    return re.sub(r"\{.*?\}", "{}", path)


def template(document: Document, path: str) -> str:
    """The document's path that a request's fits; the path itself where none does."""
    fits = (p for p in document["paths"] if re.fullmatch(re.sub(r"\{.*?\}", "[^/]+", p), path))
    return next(fits, path)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
