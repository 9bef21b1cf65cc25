"""The API keys, and what each may do."""

import hashlib
import hmac
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from attrs import Factory, define, field, frozen
from starlette.requests import Request

from ..._core.operation import Operation
from .errors import ApiError

__all__ = ["Key", "Keyring", "bearer_token", "digest", "same_secret"]

_ANY_KEY: Final = ("/files", "/containers/")
"""Beginnings of the paths of operations that need no management key."""


def digest(secret: str) -> bytes:
    """Return the hash by which a key is recognised; the key itself is not stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def same_secret(given: str, expected: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(digest(given), digest(expected))


def bearer_token(request: Request) -> str | None:
    """Return the token of the ``Authorization`` header, None if it has none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


@frozen(kw_only=True)
class Key:
    """One API key of the account."""

    digest: bytes = field(repr=False)
    workspace_id: str | None = None
    """Workspace of the key; None for the default workspace."""
    confined: bool = False
    """Whether the key has access to its own workspace only."""
    user_id: str | None = None
    management: bool = False
    disabled: bool = False
    expires_at: int | None = None
    """Milliseconds since the epoch."""


def _key(row: sqlite3.Row) -> Key:
    return Key(
        digest=row["digest"],
        workspace_id=row["workspace_id"],
        confined=row["workspace_id"] is not None,
        user_id=row["user_id"],
        management=bool(row["management"]),
        disabled=bool(row["disabled"]),
        expires_at=row["expires_at"],
    )


@define
class Keyring:
    """All API keys: the two built-in ones and those that were added."""

    built_in: Sequence[Key]
    added: dict[bytes, Key] = Factory(dict)
    """By their digests."""

    def load(self, db: sqlite3.Connection) -> None:
        """Read the added keys from the store."""
        self.added = {row["digest"]: _key(row) for row in db.execute("SELECT * FROM keys")}

    def reload(self, db: sqlite3.Connection, digest: bytes) -> None:
        """Read a key again that was added, changed or deleted."""
        self.added.pop(digest, None)
        for row in db.execute("SELECT * FROM keys WHERE digest = ?", (digest,)):
            self.added[digest] = _key(row)

    def authorize(self, request: Request, operation: Operation[Any]) -> None:
        """Store the request's key in ``request.state.key`` if it may perform the operation.

        Any key may use files and containers, and ask for itself; the rest needs a management key.

        Raises:
            ApiError: 401, or 403 for an ordinary key.
        """
        request.state.key = key = self._authenticate(request)
        if not (key.management or operation.path.startswith(_ANY_KEY) or operation.path == "/key"):
            raise ApiError(403, "Only management keys can perform this operation")

    def _authenticate(self, request: Request) -> Key:
        token = bearer_token(request)
        if token is None:
            raise ApiError(401, "Missing Authentication header")
        given = digest(token)
        # Every key is compared, so that the time does not depend on which one matches.
        found = [
            k
            for k in (*self.built_in, *self.added.values())
            if hmac.compare_digest(k.digest, given)
        ]
        if not found:
            raise ApiError(401, "User not found.")
        key = found[-1]
        if key.disabled or (key.expires_at is not None and key.expires_at <= time.time() * 1000):
            raise ApiError(401, "This API key is disabled" if key.disabled else "API key expired")
        return key
