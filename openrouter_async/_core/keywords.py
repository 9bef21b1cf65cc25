"""Unknown keyword arguments: an error that says what was meant.

Operations pass on their ``**options``, so a misspelled argument of theirs is found only where
options are merged. The names that the operation itself accepts are then read from its signature.
"""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from types import FrameType, FunctionType
from typing import Any, Final, get_args

__all__ = ["unknown_keyword"]

_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "app_name": ("x_open_router_title",),
    "async_client": ("http_transport",),
    "base_url": ("server_url",),
    "client": ("http_transport",),
    "extra_headers": ("http_headers", "default_headers"),
    "file_name": ("filename",),
    "headers": ("http_headers", "default_headers"),
    "http_client": ("http_transport",),
    "http_headers": ("default_headers",),
    "max_retries": ("retries",),
    "media_type": ("content_type",),
    "mime_type": ("content_type",),
    "max_workers": ("concurrency",),
    "name": ("filename",),
    "page_size": ("limit",),
    "per_page": ("limit",),
    "retry_config": ("retries",),
    "site_url": ("http_referer",),
    "timeout_ms": ("timeout",),
    "token": ("api_key",),
    "transport": ("http_transport",),
    "workspace": ("workspace_id",),
    "x_title": ("x_open_router_title",),
}
"""Other clients' names for what ours call otherwise."""

_ADVICE: Final[Mapping[str, str]] = {
    "max_retries": ", as RetryConfig(max_attempts=…)",
    "proxies": "; set HTTPS_PROXY, or pass http_transport= to the client",
    "proxy": "; set HTTPS_PROXY, or pass http_transport= to the client",
    "purpose": "; leave it out, as OpenRouter's files have no purpose",
    "timeout_ms": ", in seconds",
    "verify": "; set SSL_CERT_FILE for other certificates",
}


def unknown_keyword(names: Iterable[str], known: Iterable[str]) -> TypeError:
    """Return the error for keyword arguments that do not exist.

    Args:
        names: The unknown names; their values are not shown.
        known: The names that the caller accepts.
    """
    accepted = {*known, *_operation_names()}
    return TypeError("; ".join(_explain(name, accepted) for name in sorted(names)))


def _explain(name: str, accepted: set[str]) -> str:
    near = [meant for meant in _SYNONYMS.get(name, ()) if meant in accepted]
    near = near or difflib.get_close_matches(name, sorted(accepted), 1, 0.75)
    advice = _ADVICE.get(name, "")
    question = f": did you mean {near[0]}{advice}?" if near else advice
    return f"unknown option: {name}{question}"


def _operation_names() -> Iterable[str]:
    """Return the keyword arguments of the operation that is being called, if one is."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        function = frame.f_globals.get(frame.f_code.co_name)
        if isinstance(function, FunctionType) and function.__code__ is frame.f_code:
            parameters = inspect.signature(function).parameters
            if "transport" in parameters and (names := _unpacked(parameters.values())):
                return names | parameters.keys() - {"transport"}
        frame = frame.f_back
    return ()


def _unpacked(parameters: Iterable[inspect.Parameter]) -> set[str]:
    """Return the names in the `TypedDict` that a function's ``**options`` are annotated with."""
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            options: Any = get_args(parameter.annotation)
            return {name for kind in options for name in kind.__annotations__}
    return set()
