"""Whatever a service calls its files: nothing leaves the folder that the caller named."""

import json
import os
import unicodedata
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from support.calls import endpoint_of
from support.samples import FILE, KEY, QUICK
from support.servers import http_response

from openrouter_async import FileMetadata, errors

CONTENT = b"from the service"
NAMES = {
    "the folder": ".",
    "above": "..",
    "above, in it": "../evil",
    "far above": "../../../../../../../../evil",
    "within": "a/../../evil",
    "within, once": "a/../evil",
    "hidden dots": "a/./evil",
    "absolute": "{outside}/evil",
    "absolute, twice": "/{outside}/evil",
    "at home": "~/evil",
    "of the system": "/etc/cron.d/evil",
    "backslashes": "..\\..\\evil",
    "a mix": "..\\../evil",
    "a drive": "C:\\evil",
    "a drive's own folder": "C:evil",
    "a share": "\\\\server\\share\\evil",
    "a device": "\\\\.\\PhysicalDrive0",
    "a URL": "file:///{outside}/evil",
    "a stream": "evil.txt::$DATA",
    "NUL": "evil\0.txt",
    "NUL above": "..\0/evil",
    "a line break": "evil\n.txt",
    "an escape": "evil\x1b[2J.txt",
    "C1": "evil\x9b2J.txt",
    "reserved": "CON",
    "reserved, in a folder": "a/con.txt",
    "reserved, as a folder": "aux/evil",
    "reserved, with a space": "nul .txt",
    "reserved, superscript": "com\u00b9",
    "300 bytes": "e" * 300,
    "300 bytes of two": "é" * 150,
    "300 bytes of a folder": "e" * 300 + "/evil",
    "5,000 folders": "e/" * 5000 + "evil",
    "a right-to-left override": "evil\u202etxt.exe",
    "isolates": "\u2066evil\u2069.txt",
    "invisible": "evil\u200b.txt",
    "a byte order mark": "\ufeffevil.txt",
    "a lone surrogate": "evil\udcff.txt",
    "percent": "..%2f..%2fevil",
    "overlong": "..\u2215..\u2215evil",
    "fullwidth": "\uff0e\uff0e\uff0fevil",
    "NFD": unicodedata.normalize("NFD", "é.txt"),
    "NFC": unicodedata.normalize("NFC", "é.txt"),
    "a dot at the end": "evil.",
    "a space at the end": "evil ",
    "nothing": "",
    "a slash": "/",
    "a slash at the end": "evil/",
    "two slashes": "a//evil",
    "an option": "-rf",
    "a variable": "$HOME/evil",
    "a glob": "*",
    "by a link": "link/evil",
    "by a link's link": "a/link/evil",
    "onto a link": "link.txt",
    "of the temporary file": ".0123456789abcdef.part",
}
WINDOWS = '<>:"|?*\\'


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to download into, with links that lead out of it, below one that is watched."""
    outside = tmp_path / "outside"
    inside = tmp_path / "deep" / "inside"
    outside.mkdir()
    (inside / "a").mkdir(parents=True)
    (outside / "kept.txt").write_text("kept")
    (inside / "link").symlink_to(outside)
    (inside / "a" / "link").symlink_to("../link")
    (inside / "link.txt").symlink_to(outside / "kept.txt")
    monkeypatch.chdir(tmp_path / "deep")
    monkeypatch.setenv("HOME", str(tmp_path))
    return inside


def serving(names):
    """A service all of whose files have the last of these names."""

    async def handler(request, _):
        file = {**FILE, "filename": names[-1], "size_bytes": len(CONTENT)}
        page = {"data": [file], "has_more": False, "cursor": None}
        return {
            "LIST_FILES": http_response(200, page),
            "RETRIEVE_FILE": http_response(200, file),
            "DOWNLOAD_FILE": http_response(
                200, CONTENT, 'Content-Disposition: filename="../../evil"'
            ),
        }[endpoint_of(request)]

    return handler


def everything(folder):
    """All there is below a folder, links not followed, with the content of files."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(parent, name)  # noqa: PTH118 - as os.walk gives them
            plain = os.path.isfile(path) and not os.path.islink(path)  # noqa: PTH113, PTH114
            with open(path, "rb") if plain else open(os.devnull, "rb") as file:  # noqa: PTH123
                found[os.path.relpath(path, folder)] = file.read()
    return found


async def by_id(client, place, overwrite):
    return await gathered(client.files.download_many(["x"], place, overwrite=overwrite))


async def by_list(client, place, overwrite):
    files = [file async for file in client.files.list()]
    return await gathered(client.files.download_many(files, place, overwrite=overwrite))


async def alone(client, place, overwrite):
    try:
        path = await client.files.download_to("x", directory=place, overwrite=overwrite)
    except errors.DownloadTargetError as error:
        return error
    return path


async def gathered(outcomes):
    async with aclosing(outcomes):
        (outcome,) = [outcome async for outcome in outcomes]
    return outcome.error or outcome.path


@pytest.mark.parametrize(
    ("download", "overwrite"), [(by_id, False), (by_list, True), (alone, False), (alone, True)]
)
async def test_no_name_leaves_the_folder(make_client, raw_server, place, download, overwrite):
    """Each is either refused, and nothing written, or one new file in the folder."""
    top = place.parent.parent
    before = everything(top)
    written, names = set(), []
    server = await raw_server(serving(names))
    client = make_client(KEY, server_url=server.url, retries=QUICK)
    for kind, template in NAMES.items():
        filename = template.replace("{outside}", str(top / "outside"))
        names.append(filename)
        result = await download(client, place, overwrite)
        after = everything(top)
        changed = {path for path in before if after.get(path) != before[path]}
        assert changed <= ({"deep/inside/link.txt"} if kind == "onto a link" else set()), kind
        new = {path: content for path, content in after.items() if path not in before}
        files = {path: content for path, content in new.items() if content}
        if isinstance(result, errors.OpenRouterError):
            assert isinstance(result, errors.DownloadTargetError), (kind, result)
            assert files == {}, kind
            assert filename not in str(result) or filename.isprintable(), kind
        elif kind == "onto a link" and overwrite:  # the link's place is taken, not what it names
            assert not result.is_symlink()
            result.unlink()
            result.symlink_to(top / "outside" / "kept.txt")
        else:
            (path,) = files
            assert files[path] == CONTENT
            assert result == top / path
            _check_path(result, place, filename)
            result.unlink()
            written.add(kind)
        assert kind == "of the temporary file" or not [p for p in new if p.endswith(".part")]
    await client.aclose()
    assert written >= {"NFD", "NFC", "percent", "an option", "fullwidth"}
    assert not written & {"above, in it", "absolute", "by a link", "NUL"} or download is alone


def _check_path(path, place, filename):
    """A path in the folder, whose parts are good names on every system."""
    assert path.resolve().is_relative_to(place.resolve())
    parts = path.relative_to(place).parts
    assert filename.endswith("/".join(parts))
    for part in parts:
        assert part not in {"", ".", ".."}
        assert len(part.encode()) <= 255
        assert part.isprintable()
        assert not set(part) & set(WINDOWS)


async def test_one_name_in_two_forms_is_two_files(make_client, raw_server, tmp_path):
    """Or, where the file system takes them for one, a failure; never one over the other."""
    known = {"size_bytes": len(CONTENT), "created_at": datetime.now(UTC)}
    files = [
        FileMetadata(id=form, filename=unicodedata.normalize(form, "é.txt"), **known)
        for form in ("NFC", "NFD")
    ]
    server = await raw_server(serving(["unused"]))
    async with make_client(KEY, server_url=server.url) as client:
        outcomes = client.files.download_many(files, tmp_path)
        async with aclosing(outcomes):
            ends = sorted([outcome.status async for outcome in outcomes])
    assert len(list(tmp_path.iterdir())) == ends.count("downloaded")
    assert set(ends) <= {"downloaded", "failed"}
    assert "downloaded" in ends


@pytest.mark.parametrize("options", [[], ["--overwrite"]], ids=str)
def test_no_name_leaves_the_folder_of_the_command(cli, emulator, place, options):
    """Of ``files download``, which writes into the present folder unless another is named."""
    top = place.parent.parent
    before = everything(top)
    for kind in ("above, in it", "absolute", "NUL", "by a link", "300 bytes", "an escape", "CON"):
        filename = NAMES.get(kind, kind).replace("{outside}", str(top / "outside"))
        file = {**FILE, "filename": filename, "size_bytes": len(CONTENT)}
        emulator.faults(
            {"operation": "retrieve_file", "status": 200, "body": json.dumps(file), "times": None},
            {"operation": "download_file", "status": 200, "body": "from the service"},
        )
        result = cli("files", "download", "x", "--directory", place, *options)
        assert result.exit_code == 1, kind
        assert not {"\0", "\x1b"} & set(result.shown)
        assert everything(top) == before, kind
    emulator.faults(
        {
            "operation": "retrieve_file",
            "status": 200,
            "body": json.dumps({**file, "filename": "-rf"}),
        },
        {"operation": "download_file", "status": 200, "body": "from the service"},
    )
    assert cli("files", "download", "x", "--directory", place, *options).exit_code == 0
    assert (place / "-rf").read_bytes() == CONTENT
