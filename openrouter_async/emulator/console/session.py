"""Who may see the console: sessions, and what every request and response has to have.

A browser on this machine gets a session by a link that is valid once, or by the admin token. Pages
of other origins can neither read nor write: the cookie is SameSite=Strict, requests that a browser
marks as another origin's are refused, and each form carries the session's token.
"""

import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from attrs import Factory, define
from starlette.requests import Request
from starlette.responses import Response

from ..._http.proxies import is_loopback
from ..api.auth import same_secret
from ..api.errors import ApiError

__all__ = ["Sessions", "check_machine", "check_origin", "protect"]

_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with none at all, browsers send forms with "Origin: null"
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_MAX_SESSIONS: Final = 100


@define
class Sessions:
    """The open sessions, each with the token that its forms carry, and the unused links."""

    admin_token: str
    _links: set[str] = Factory(set)
    _tokens: dict[str, str] = Factory(dict)

    def new_link(self) -> str:
        """Return the token of a link that opens one session."""
        token = secrets.token_urlsafe(24)
        self._links.add(token)
        return token

    def open(self, given: str, response: Response, port: int | None) -> bool:
        """Start a session for a link's token or the admin token; False if it is neither."""
        link = next((known for known in self._links if same_secret(given, known)), None)
        if link is None and not same_secret(given, self.admin_token):
            return False
        self._links.discard(link or "")
        session = secrets.token_urlsafe(24)
        self._tokens[session] = secrets.token_urlsafe(24)
        while len(self._tokens) > _MAX_SESSIONS:
            del self._tokens[next(iter(self._tokens))]
        response.set_cookie(
            _cookie_name(port), session, path="/_emulator", httponly=True, samesite="strict"
        )
        return True

    def form_token(self, request: Request) -> str | None:
        """Return the token of the request's session, None without one."""
        cookie = request.cookies.get(_cookie_name(request.url.port), "")
        found = (token for known, token in self._tokens.items() if same_secret(cookie, known))
        return next(found, None)


def _cookie_name(port: int | None) -> str:
    """Return the cookie's name: browsers do not keep the cookies of ports apart."""
    return f"openrouter_emulator_{port or 80}"


def check_machine(request: Request) -> None:
    """Refuse requests of other machines.

    Raises:
        ApiError: 403.
    """
    if request.client is None or not is_loopback(request.client.host):
        raise ApiError(403, "The console responds only to this machine")


def check_origin(request: Request) -> None:
    """Refuse requests of other machines and of other origins' pages.

    Raises:
        ApiError: 403.
    """
    check_machine(request)
    site = request.headers.get("sec-fetch-site", "none")
    origin = request.headers.get("origin")
    if site not in {"none", "same-origin"} or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise ApiError(403, "The console does not respond to pages of other origins")


def protect(response: Response) -> Response:
    """Return the response with the headers that every page of the console has."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response
