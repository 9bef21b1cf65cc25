"""``openrouter-async emulator requests | faults | reset``, which control a running emulator."""

import http.client
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

import typer

from .._http.proxies import is_loopback
from ._command import Yes, command
from ._errors import UsageError
from ._extras import requires_extra
from ._output import Output

if TYPE_CHECKING:
    from ..emulator import Emulator

__all__ = ["TOKEN_VARIABLE", "faults", "or_subcommand", "requests", "reset"]

T = TypeVar("T")

TOKEN_VARIABLE: Final = "OPENROUTER_EMULATOR_TOKEN"  # noqa: S105 - a name

Url = Annotated[
    str, typer.Option(envvar="OPENROUTER_BASE_URL", help="The emulator's URL, on this machine.")
]
Token = Annotated[
    str,
    typer.Option(
        envvar=TOKEN_VARIABLE, metavar="TOKEN", help="The token that the emulator was started with."
    ),
]
_DEFAULT_URL: Final = "http://127.0.0.1:8787/api/v1"


def or_subcommand(start: Callable[..., None]) -> Callable[..., None]:
    """Return a group's callback that runs a command, unless one of the group's is named."""

    @wraps(start)
    def callback(ctx: typer.Context, **options: Any) -> None:  # noqa: ANN401
        if ctx.invoked_subcommand is None:
            start(**options)

    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [*inspect.signature(start).parameters.values(), context]
    callback.__dict__["__signature__"] = inspect.Signature(
        [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    )
    callback.__annotations__ = {p.name: p.annotation for p in parameters}
    return callback


@command
def requests(output: Output, url: Url = _DEFAULT_URL, admin_token: Token = "") -> None:
    """List the last requests that a running emulator received, oldest first."""
    rows = _ask(url, admin_token, lambda emulator: emulator.requests())
    _show_all(output, rows, "method", "path", "operation", "status", "body_bytes")


@command
def faults(
    output: Output,
    rules: Annotated[
        list[str],
        typer.Argument(
            metavar="[RULE]...", help='JSON: \'{"operation": "upload_file", "status": 429}\''
        ),
    ] = [],  # noqa: B006 - Typer needs a list here
    clear: Annotated[bool, typer.Option("--clear", help="Remove all rules.")] = False,
    url: Url = _DEFAULT_URL,
    admin_token: Token = "",
) -> None:
    """Show the fault rules of a running emulator, after replacing them by the given ones.

    Each has the number of requests that it has seen, and met.
    """
    if clear and rules:
        msg = "--clear cannot be combined with rules, which replace all others anyway"
        raise UsageError(msg)
    parsed = [_parse(rule) for rule in rules]
    if clear or parsed:
        _ask(url, admin_token, lambda emulator: emulator.faults(*parsed))
    rows = _ask(url, admin_token, lambda emulator: emulator.fault_status())
    _show_all(output, rows, "operation", "status", "times", "seen", "met")


@command
def reset(
    output: Output, yes: Yes = False, url: Url = _DEFAULT_URL, admin_token: Token = ""
) -> None:
    """Delete everything in a running emulator: files, workspaces, keys, rules, requests."""
    output.confirm("Delete everything in the emulator?", yes=yes)
    _ask(url, admin_token, lambda emulator: emulator.reset())
    output.note("deleted everything")


def _show_all(output: Output, rows: Iterable[Mapping[str, Any]], *columns: str) -> None:
    with output.listing(*columns) as show:
        for row in rows:
            show({**dict.fromkeys(columns), **row})


def _parse(rule: str) -> Any:  # noqa: ANN401 - checked where rules are
    try:
        return json.loads(rule)
    except ValueError as error:
        msg = f"a rule must be JSON, not {rule!r:.100}: {error}"
        raise UsageError(msg) from None


def _ask(url: str, admin_token: str, question: "Callable[[Emulator], T]") -> T:
    """Return what a running emulator says; what goes wrong is about the options."""
    with requires_extra("emulator"):
        from ..emulator import Emulator
    if not admin_token:
        msg = f"pass --admin-token or set {TOKEN_VARIABLE}: the emulator prints it at its start"
        raise UsageError(msg)
    if not (admin_token.isascii() and admin_token.isprintable()):
        msg = "the admin token has characters that a header cannot carry"
        raise UsageError(msg)
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
            msg = "--url must be an http:// URL of this machine"
            raise UsageError(msg)
        return question(
            Emulator(base_url=url, api_key="", management_key="", admin_token=admin_token)
        )
    except (OSError, http.client.HTTPException, json.JSONDecodeError, LookupError) as error:
        msg = f"no emulator responds at {url!r:.100}: {error}"
        raise UsageError(msg) from None
    except ValueError as error:
        raise UsageError(str(error)) from None
