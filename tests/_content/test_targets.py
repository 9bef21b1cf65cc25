"""Targets of downloads: what replacing a file keeps of it."""

import pytest
from support.handlers import respond_with
from support.samples import KEY, QUICK
from support.servers import http_response


@pytest.fixture
async def download(make_client, raw_server):
    """Download new content to a path, replacing what is there."""

    async def download_to(path):
        server = await raw_server(respond_with(http_response(200, b"new")))
        async with make_client(KEY, server_url=server.url, retries=QUICK) as client:
            return await client.files.download_to("x", path, overwrite=True)

    return download_to


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o755])
async def test_a_replaced_file_keeps_its_mode(download, tmp_path, mode):
    """It may be readable for its owner alone."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(mode)
    await download(path)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == mode


async def test_a_link_stays_one_and_its_target_is_replaced(download, tmp_path):
    """In the target's own folder."""
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.bin", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    assert await download(link) == link
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["a.bin"]


async def test_a_link_to_nothing_gets_its_target(download, tmp_path):
    """As a shell's redirection does it."""
    target, link = tmp_path / "a.bin", tmp_path / "link"
    link.symlink_to(target)
    await download(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
