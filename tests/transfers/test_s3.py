"""A bucket of S3, over its real protocol: moto's server and s3fs, of the dependency group stores."""

import secrets

import pytest

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

import fsspec  # noqa: E402 - after the packages that it needs here


@pytest.fixture
def bucket(monkeypatch):
    """A bucket that the environment leads to."""
    service = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    service.start()
    host, port = service.get_host_and_port()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    store = fsspec.filesystem("s3")
    name = f"bucket-{secrets.token_hex(4)}"  # moto keeps its buckets
    store.mkdir(name)
    yield store, name
    service.stop()
    fsspec.filesystem("s3").clear_instance_cache()


async def test_a_bucket_is_uploaded_and_known_by_its_etags(client, emulator, bucket, tmp_path):
    """An object that is written again with the same content is the same."""
    store, name = bucket
    root = f"{name}/in"
    sizes = {"a.txt": 3, "deep/er/b.txt": 6 << 20, "deep/c.txt": 5}
    store.pipe({f"{root}/{file}": b"x" * size for file, size in sizes.items()})
    store.touch(f"{root}/deep/", truncate=True)  # as consoles mark folders
    journal = tmp_path / "run.journal"
    first = await client.files.upload_tree(f"s3://{root}", journal=journal)
    assert first.counts == {"uploaded": 3}, first
    assert {f.filename: f.size_bytes async for f in client.files.list()} == sizes
    store.pipe({f"{root}/a.txt": b"x" * 3, f"{root}/deep/c.txt": b"other"})
    second = await client.files.upload_tree(f"s3://{root}", journal=journal)
    assert second.counts == {"uploaded": 1, "skipped": 2}, second
