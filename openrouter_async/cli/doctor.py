"""``openrouter-async doctor``."""

import os
import platform
import time
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import aclosing
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from attrs import frozen

from .. import AsyncOpenRouter, OpenRouterError, RetryConfig, __version__
from ..errors import (
    InvalidRequestError,
    ResponseError,
    TLSError,
    UnauthorizedResponseError,
)
from ._command import command
from ._errors import FAILED, UNAUTHENTICATED, explain
from ._output import Output

__all__ = ["doctor"]

_REQUIRED: Final = ("httpx", "attrs", "cattrs", "anyio", "backoff", "typer", "rich", "pathspec")
_OPTIONAL: Final = ("orjson", "starlette", "uvicorn")
_TIMEOUT_SECONDS: Final = 20

# Sent when there is no usable key: a 401 still shows that the server is reachable.
_NO_KEY: Final = "no-key"

_OK: Final = "ok"
_FAILED: Final = "failed"
_NOT_CHECKED: Final = "not checked"
_UNREACHABLE: Final = "the server is unreachable"


@frozen
class _Result:
    check: str
    status: str
    detail: str
    exit_status: int = 0


@command
async def doctor(output: Output) -> int:
    """Check the installation, the API key and the connection."""
    exit_status = 0
    with output.listing("check", "status", "detail") as add:
        async with aclosing(_results()) as results:
            async for result in results:
                add({"check": result.check, "status": result.status, "detail": result.detail})
                exit_status = max(exit_status, result.exit_status)
    return exit_status


async def _results() -> AsyncGenerator[_Result, None]:
    yield _Result("versions", _OK, ", ".join(_versions()))
    try:
        url = _client(_NO_KEY).transport.settings.server_url
    except InvalidRequestError as error:
        yield _Result("server", _FAILED, _message(error), FAILED)
        return
    yield _Result("server", _OK, url)
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    problem = _key_problem(key)
    if problem:
        yield _Result("key", _FAILED, problem, UNAUTHENTICATED)
    else:
        yield _Result("key", _OK, f"OPENROUTER_API_KEY is set, {len(key)} characters")
    async with _client(_NO_KEY if problem else key) as client:
        async for result in _service_results(client, url, has_key=not problem):
            yield result


async def _service_results(
    client: AsyncOpenRouter, url: str, *, has_key: bool
) -> AsyncGenerator[_Result, None]:
    started = time.perf_counter()
    error = await _error_of(client.files.list(limit=1).page())
    elapsed = f"response in {1000 * (time.perf_counter() - started):.0f} ms"
    reachable = error is None or isinstance(error, ResponseError)
    yield _tls(url, error, reachable=reachable)
    if error is not None and not reachable:
        yield _Result("reachable", _FAILED, _message(error), FAILED)
    else:
        yield _Result("reachable", _OK, elapsed)
    if not reachable or not has_key:
        reason = _UNREACHABLE if has_key else "there is no usable key"
        yield _Result("files", _NOT_CHECKED, reason)
        yield _Result("key kind", _NOT_CHECKED, reason)
        return
    yield _files(error)
    yield await _key_kind(client)


def _tls(url: str, error: OpenRouterError | None, *, reachable: bool) -> _Result:
    if url.startswith("http:"):
        return _Result("tls", _NOT_CHECKED, "not used: the server is on this machine")
    if isinstance(error, TLSError):
        return _Result("tls", _FAILED, "the server's certificate is not trusted", FAILED)
    if reachable:
        return _Result("tls", _OK, "the server's certificate is trusted")
    return _Result("tls", _NOT_CHECKED, _UNREACHABLE)


def _files(error: OpenRouterError | None) -> _Result:
    if error is None:
        return _Result("files", _OK, "key accepted")
    refused = isinstance(error, UnauthorizedResponseError)
    return _Result("files", _FAILED, _message(error), UNAUTHENTICATED if refused else FAILED)


async def _key_kind(client: AsyncOpenRouter) -> _Result:
    try:
        key = await client.keys.current()
    except OpenRouterError as error:
        return _Result("key kind", _NOT_CHECKED, _message(error))
    if key.is_management_key:
        return _Result("key kind", _OK, "management: files and workspaces")
    return _Result("key kind", _OK, "ordinary: files, not workspaces")


def _client(key: str) -> AsyncOpenRouter:
    return AsyncOpenRouter(key, retries=RetryConfig.none(), timeout=_TIMEOUT_SECONDS)


def _key_problem(key: str) -> str | None:
    if not key:
        return "no API key: set OPENROUTER_API_KEY"
    try:
        _client(key)
    except InvalidRequestError as error:
        return _message(error)
    return None


async def _error_of(call: Awaitable[Any]) -> OpenRouterError | None:
    try:
        await call
    except OpenRouterError as error:
        return error
    return None


def _message(error: OpenRouterError) -> str:
    return " ".join(explain(error))


def _versions() -> Iterator[str]:
    yield f"openrouter_async {__version__}"
    yield f"{platform.python_implementation()} {platform.python_version()}"
    for package in (*_REQUIRED, *_OPTIONAL):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            if package in _REQUIRED:
                yield f"{package} missing"
