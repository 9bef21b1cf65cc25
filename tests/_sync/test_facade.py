"""Methods of the namespaces, as both clients have them."""

import pytest

from openrouter_async import AsyncOpenRouter, OpenRouter


@pytest.mark.parametrize("make", [AsyncOpenRouter, OpenRouter])
async def test_a_wrong_argument_names_the_method_that_was_called(make):
    """Not the function behind it, which the caller may not know."""
    client = make("sk-or-v1-x")
    with pytest.raises(TypeError, match=r"^workspaces\.create\(\) missing 2 required"):
        client.workspaces.create()
    with pytest.raises(TypeError, match=r"^files\.delete\(\) takes 2 positional"):
        client.files.delete("or_file_x", "or_file_y")
    await client.aclose()
