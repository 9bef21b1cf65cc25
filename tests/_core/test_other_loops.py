"""Event loops that are not asyncio's."""

import pytest

from openrouter_async import AsyncOpenRouter


@pytest.mark.parametrize("call", ["retrieve", "upload"])
def test_without_asyncio_the_error_says_what_to_do(call):
    """Under Trio and curio, or driven by hand."""
    client = AsyncOpenRouter("sk-or-v1-x")
    arguments = {"retrieve": ("x",), "upload": (__file__,)}[call]
    with pytest.raises(RuntimeError, match=r"needs asyncio.*trio\.to_thread"):
        getattr(client.files, call)(*arguments).send(None)
