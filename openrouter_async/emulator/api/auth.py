"""Who asks: the API keys and what each may do."""

import hashlib
import hmac
import sqlite3
from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen
from starlette.requests import Request

from ..._core.operation import Operation
from .errors import ApiError

__all__ = ["Key", "Keyring", "digest", "same_secret"]


def digest(secret: str) -> bytes:
    """What is kept of a key: enough to know it again, too little to use it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about either."""
    return hmac.compare_digest(digest(given), digest(expected))


@frozen(kw_only=True)
class Key:
    """One API key of the account."""

    digest: bytes = field(repr=False)
    workspace_id: str | None = None
    """Its own workspace; None is the default one."""
    confined: bool = False
    """Whether other workspaces are closed to it."""
    user_id: str | None = None
    management: bool = False


@define
class Keyring:
    """All keys: the two that the emulator starts with, and those added since."""

    built_in: Sequence[Key]
    added: Sequence[Key] = ()

    def load(self, db: sqlite3.Connection) -> None:
        """Read the added keys from the store."""
        self.added = [
            Key(
                digest=row["digest"],
                workspace_id=row["workspace_id"],
                confined=row["workspace_id"] is not None,
                user_id=row["user_id"],
                management=bool(row["management"]),
            )
            for row in db.execute("SELECT * FROM keys")
        ]

    def _authenticate(self, request: Request) -> Key:
        """The key that the request carries.

        Raises:
            ApiError: 401; there is none, or nobody knows it.
        """
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise ApiError(401, "Missing Authentication header")
        given = digest(secret.strip())
        # No early end: how many keys were compared tells nothing either.
        found = [k for k in (*self.built_in, *self.added) if hmac.compare_digest(k.digest, given)]
        if not found:
            raise ApiError(401, "User not found.")
        return found[-1]

    def authorize(self, request: Request, operation: Operation[Any]) -> None:
        """Store the request's key in ``request.state.key`` if it may perform the operation.

        Any key may use files; everything else needs a management key.

        Raises:
            ApiError: 401, or 403 for an ordinary key.
        """
        request.state.key = key = self._authenticate(request)
        if not (key.management or operation.path.startswith("/files")):
            raise ApiError(403, "Only management keys can perform this operation")
