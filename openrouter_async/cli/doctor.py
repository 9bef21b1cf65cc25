"""``openrouter-async doctor``: whether the key, the server and the installation are in order."""

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
    ForbiddenResponseError,
    InvalidRequestError,
    ResponseError,
    TLSError,
    UnauthorizedResponseError,
)
from ._output import Output
from ._run import command
from ._status import FAILED, UNAUTHENTICATED, explain

__all__ = ["doctor"]

_NEEDED: Final = ("httpx", "attrs", "cattrs", "anyio", "backoff", "typer", "rich")
_OPTIONAL: Final = ("orjson", "starlette", "uvicorn")
_NO_KEY: Final = "no-key"
"""Sent where there is no usable key: that it is refused shows that the server is there."""

_OK: Final = "ok"
_FAILED: Final = "failed"
_OPEN: Final = "not checked"
_SECONDS: Final = 20


@frozen
class _Finding:
    check: str
    status: str
    detail: str
    exit_status: int = 0


@command
async def doctor(output: Output) -> int:
    """Check the key, the way to the server, and what is installed."""
    worst = 0
    with output.listing("check", "status", "detail") as add:
        async with aclosing(_findings()) as findings:
            async for found in findings:
                add({"check": found.check, "status": found.status, "detail": found.detail})
                worst = max(worst, found.exit_status)
    return worst


async def _findings() -> AsyncGenerator[_Finding, None]:
    yield _Finding("versions", _OK, ", ".join(_versions()))
    try:
        url = _client(_NO_KEY).transport.settings.server_url
    except InvalidRequestError as error:
        yield _Finding("server", _FAILED, _words(error), FAILED)
        return
    yield _Finding("server", _OK, url)
    key = os.environ.get("OPENROUTER_API_KEY", "").strip()
    problem = _problem_of(key)
    if problem:
        yield _Finding("key", _FAILED, problem, UNAUTHENTICATED)
    else:
        yield _Finding("key", _OK, f"OPENROUTER_API_KEY is set, {len(key)} characters")
    async with _client(_NO_KEY if problem else key) as client:
        async for finding in _service(client, url, has_key=not problem):
            yield finding


async def _service(
    client: AsyncOpenRouter, url: str, *, has_key: bool
) -> AsyncGenerator[_Finding, None]:
    began = time.perf_counter()
    error = await _attempt(client.files.list(limit=1).page())
    took = f"answered in {1000 * (time.perf_counter() - began):.0f} ms"
    there = error is None or isinstance(error, ResponseError)
    yield _tls(url, error, there=there)
    if error is not None and not there:
        yield _Finding("reachable", _FAILED, _words(error), FAILED)
    else:
        yield _Finding("reachable", _OK, took)
    if not there or not has_key:
        why = "the server is out of reach" if has_key else "there is no key to try"
        yield _Finding("files", _OPEN, why)
        yield _Finding("key kind", _OPEN, why)
        return
    yield _files(error)
    yield _kind(await _attempt(client.workspaces.list(limit=1).page()))


def _tls(url: str, error: OpenRouterError | None, *, there: bool) -> _Finding:
    if url.startswith("http:"):
        return _Finding("tls", _OPEN, "not used: the server is on this machine")
    if isinstance(error, TLSError):
        return _Finding("tls", _FAILED, "the server's certificate is not trusted", FAILED)
    if there:
        return _Finding("tls", _OK, "the server's certificate is trusted")
    return _Finding("tls", _OPEN, "the server is out of reach")


def _files(error: OpenRouterError | None) -> _Finding:
    if error is None:
        return _Finding("files", _OK, "the key is taken")
    refused = isinstance(error, UnauthorizedResponseError)
    return _Finding("files", _FAILED, _words(error), UNAUTHENTICATED if refused else FAILED)


def _kind(error: OpenRouterError | None) -> _Finding:
    if error is None:
        return _Finding("key kind", _OK, "management: files and workspaces")
    if isinstance(error, ForbiddenResponseError):
        return _Finding("key kind", _OK, "ordinary: files, no workspaces")
    return _Finding("key kind", _OPEN, _words(error))


def _client(key: str) -> AsyncOpenRouter:
    return AsyncOpenRouter(key, retries=RetryConfig.none(), timeout=_SECONDS)


def _problem_of(key: str) -> str | None:
    if not key:
        return "there is none: set OPENROUTER_API_KEY"
    try:
        _client(key)
    except InvalidRequestError as error:
        return _words(error)
    return None


async def _attempt(call: Awaitable[Any]) -> OpenRouterError | None:
    try:
        await call
    except OpenRouterError as error:
        return error
    return None


def _words(error: OpenRouterError) -> str:
    return " ".join(explain(error))


def _versions() -> Iterator[str]:
    yield f"openrouter_async {__version__}"
    yield f"{platform.python_implementation()} {platform.python_version()}"
    for package in (*_NEEDED, *_OPTIONAL):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            if package in _NEEDED:
                yield f"{package} missing"
