"""A project that uses the package, and tests itself with the package's pytest fixtures."""

CODE = """
from openrouter_async import AsyncOpenRouter, OpenRouter, RetryConfig, errors


async def publish(folder):
    async with AsyncOpenRouter() as client:
        report = await client.files.upload_tree(folder)
    return report.counts


def save(words):
    with OpenRouter(retries=RetryConfig.none()) as client:
        try:
            return client.files.upload(words, filename="words.txt").id
        except errors.TooManyRequestsResponseError as error:
            return f"busy for {error.retry_after:.0f} seconds"


def names(client):
    return [file.filename for file in client.files.list(limit=2)]
"""

TESTS = """
import pytest
import ours


@pytest.fixture
def busy(openrouter_environment):
    rule = {"operation": "upload_file", "status": 429, "retry_after": "7"}
    openrouter_environment.faults(rule)
    return openrouter_environment


@pytest.mark.MARK
async def test_a_folder_is_published(openrouter_environment, tmp_path):
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "b.txt").write_text("more")
    assert await ours.publish(tmp_path) == {"uploaded": 2}
    sent = openrouter_environment.requests()
    assert [request["operation"] for request in sent] == ["upload_file"] * 2


def test_it_says_when_to_come_back(busy):
    assert ours.save(b"words") == "busy for 7 seconds"
    assert ours.save(b"words").startswith("or_file_")
    assert [request["status"] for request in busy.requests()] == [429, 200]


def test_all_names_are_listed(openrouter_emulator, openrouter_client):
    for number in range(5):
        openrouter_emulator.create_file(f"{number}.bin", b"content")
    assert len(ours.names(openrouter_client)) == 5


@pytest.mark.MARK
async def test_a_client_is_at_hand(async_openrouter_client):
    stored = await async_openrouter_client.files.upload(b"words", filename="a.txt")
    page = await async_openrouter_client.files.list()
    assert [file.id for file in page.data] == [stored.id]
"""
COUNT = TESTS.count("def test_")

INI = """
[pytest]
filterwarnings = error
asyncio_default_fixture_loop_scope = function
"""

ANYIO = """
import pytest


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def files(mark: str) -> dict[str, str]:
    """Its files by name, for pytest-asyncio (``asyncio``) or the plugin of anyio (``anyio``)."""
    return {
        "ours.py": CODE,
        "test_ours.py": TESTS.replace("MARK", mark),
        "conftest.py": ANYIO,
        "pytest.ini": INI,
    }
