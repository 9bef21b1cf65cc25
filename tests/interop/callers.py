"""How each client is asked to make a step's call, and how its response is read."""

import asyncio
import base64
import io
import json
import warnings
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import attrs

from openrouter_async import RetryConfig
from openrouter_async.errors import InvalidRequestError, ResponseError

from .steps import APP, Stream

Caller = Any  # an async context manager of (url, key) that gives call(step, arguments)

DRIVER = Path(__file__).with_name("drive.mjs")
_OURS = {"id": "workspace_id", "workspace_ref": "workspace_id", "hash": "key_hash"}
_OUR_CALLS = {
    "api_keys": "keys",
    "get_current_key_metadata": "current",
    "list_container_files": "list_files",
    "get_container_file": "retrieve_file",
    "download_container_file_content": "download_file",
    "promote_container_file": "promote_file",
}
_PAGED = {"files.list", "workspaces.list", "workspaces.list_members", "organization.list_members"}
"""What the vendor's clients page."""


class Refused(Exception):  # noqa: N818
    """The client refused, or was refused, with the error of this name."""


class _Once(io.BytesIO):
    """What can only be read once, such as a pipe."""

    def seekable(self):
        return False

    def _refuse(self, *_):
        raise io.UnsupportedOperation

    seek = tell = fileno = _refuse


def _opened(stream):
    return (io.BytesIO if stream.seekable else _Once)(stream.content)


# Ours


def ours(client_class):
    """Our client, async or sync."""

    @asynccontextmanager
    async def caller(url, key):
        plain = client_class(key, server_url=url, retries=RetryConfig.none())
        attributed = client_class(key, server_url=url, retries=RetryConfig.none(), **APP)
        async with plain, attributed:

            async def call(step, arguments):
                client = attributed if step.attributed else plain
                return await _call_ours(client, step.call, arguments)

            yield call

    return caller


def our_call(name):
    """The name of our method for the vendor's."""
    return ".".join(_OUR_CALLS.get(part, part) for part in name.split("."))


async def _call_ours(client, name, arguments):
    namespace, _, method = our_call(name).partition(".")
    arguments = _our_arguments(**arguments)
    operation = getattr(getattr(client, namespace), method)
    try:
        if name in _PAGED:
            return [_plain(page) async for page in operation(**arguments).pages()]
        if method.startswith("download"):
            async with operation(**arguments) as download:
                return {"size": len(await download.read())}
        return _plain(await operation(**arguments))
    except (ResponseError, InvalidRequestError) as error:
        raise Refused(type(error).__name__) from error


def _our_arguments(file=None, **arguments):
    arguments = {_OURS.get(name, name): value for name, value in arguments.items()}
    if file is not None:
        name, content, *declared = file
        if isinstance(content, Stream):
            content = _opened(content)
        arguments["file"] = (name, content, *declared)
    return arguments


def _plain(value):
    return attrs.asdict(
        value, value_serializer=lambda _, __, v: list(v) if isinstance(v, tuple) else v
    )


# The vendor's Python client


def python(*, sync):
    """The vendor's Python client: its sync methods, or its async ones."""

    @asynccontextmanager
    async def caller(url, key):
        from openrouter import OpenRouter

        async with (
            OpenRouter(key, server_url=url) as plain,
            OpenRouter(key, server_url=url, **APP) as attributed,
        ):

            async def call(step, arguments):
                client = attributed if step.attributed else plain
                return await _call_python(client, step.call, arguments, sync=sync)

            with plain, attributed:
                yield call

    return caller


async def _call_python(client, name, arguments, *, sync):
    from openrouter import errors

    # Reading a field that is deprecated warns, and here warnings are errors.
    warnings.filterwarnings("ignore", message=".*DEPRECATED", category=DeprecationWarning)

    async def run(function, **keywords):
        if sync:
            return await anyio.to_thread.run_sync(lambda: function(**keywords))
        return await function(**keywords)

    namespace, _, method = name.partition(".")
    operation = getattr(getattr(client, namespace), method if sync else f"{method}_async")
    try:
        result = await run(operation, **_python_arguments(**arguments))
        if method.startswith("download"):
            return {"size": len(await run(result.read if sync else result.aread))}
        if name not in _PAGED:
            return _dumped(result)
        pages = []
        while result is not None:
            pages.append(_dumped(result.result))
            result = await run(result.next)
    except errors.OpenRouterError as error:
        if isinstance(error, errors.ResponseValidationError):
            raise
        raise Refused(type(error).__name__) from error
    else:
        return pages


def _python_arguments(file=None, **arguments):
    if file is not None:
        name, content, *declared = file
        if isinstance(content, Stream):
            content = _opened(content)
        arguments["file"] = {"file_name": name, "content": content}
        if declared:
            arguments["file"]["content_type"] = declared[0]
    return arguments


def _dumped(model):
    assert not getattr(model, "is_unknown", False), f"a shape that the model does not know: {model}"
    return model.model_dump(mode="json", by_alias=True)


# The vendor's TypeScript client


def typescript(directory):
    """The vendor's TypeScript client, as it is installed in a directory."""

    @asynccontextmanager
    async def caller(url, key):
        process = await asyncio.create_subprocess_exec(
            "node", DRIVER, directory, url, key, json.dumps(APP), stdin=PIPE, stdout=PIPE
        )

        async def call(step, arguments):
            line = {"call": step.call, "attributed": step.attributed, "arguments": arguments}
            process.stdin.write(json.dumps(line, default=_encoded).encode() + b"\n")
            response = json.loads(await process.stdout.readline())
            if "refused" in response:
                raise Refused(response["refused"])
            if "failed" in response:
                raise AssertionError(response["failed"])
            return response["result"]

        yield call
        process.stdin.close()
        assert await process.wait() == 0

    return caller


def _encoded(value):
    if isinstance(value, Stream):
        kind = "blob" if value.seekable else "stream"
        return {kind: base64.b64encode(value.content).decode()}
    return {"bytes": base64.b64encode(value).decode()}
