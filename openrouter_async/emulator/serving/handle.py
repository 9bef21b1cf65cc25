"""The handle of a running emulator."""

import http.client
import json
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from attrs import field, frozen

from ..control.fault_rules import Fault, parse_rules
from ..control.middleware import ADMIN

__all__ = ["Emulator"]


@frozen(kw_only=True)
class Emulator:
    """A running emulator: its URL, its keys, and methods that control it.

    The methods block; they send requests to the emulator's admin routes.

    Example:
        ```python
        from openrouter_async.emulator import run_emulator

        with run_emulator() as emulator:
            rule = {"operation": "download_file", "status": 429, "retry_after": "0"}
            emulator.faults(rule)
            made = emulator.create_file("made.bin", b"made by the service")
            emulator.create_container_file("sess_abc", "plot.png", b"made by a tool")
            emulator.spend({})
            with OpenRouter(emulator.api_key, server_url=emulator.base_url) as client:
                client.files.download_to(made["id"], "made.bin")
            print([request["status"] for request in emulator.requests()])  # [429, 200]
            print(emulator.fault_status())
            emulator.add_key("sk-mine", management=True)
            emulator.remove_key("sk-mine")
            emulator.settings(max_page=10)
            emulator.providers(openai=True)
            emulator.reset()
        ```
    """

    base_url: str
    """Server URL for clients."""
    api_key: str = field(repr=False)
    """Ordinary key of the default workspace."""
    management_key: str = field(repr=False)
    """Key for all operations."""
    admin_token: str = field(repr=False)
    """Token of the admin routes."""
    console_url: str | None = field(default=None, repr=False)
    """Link that opens the console in a browser, once; None without the option ``console``."""

    def create_file(
        self, filename: str, content: bytes, workspace_id: str | None = None
    ) -> dict[str, Any]:
        """Create a file on the service's side and return it; only such files can be downloaded."""
        query = {"filename": filename}
        if workspace_id is not None:
            query["workspace_id"] = workspace_id
        return self._call("POST", f"/files?{urlencode(query)}", content)

    def create_container_file(
        self, container_id: str, path: str, content: bytes, workspace_id: str | None = None
    ) -> dict[str, Any]:
        """Create a file as a model's tool would in its container, and return it.

        Paths that begin with ``.openrouter/`` are bookkeeping: lists count but do not show them.
        """
        query = {"container_id": container_id, "filename": path}
        if workspace_id is not None:
            query["workspace_id"] = workspace_id
        return self._call("POST", f"/files?{urlencode(query)}", content)

    def spend(self, dollars: Mapping[str, float]) -> None:
        """Set what is spent, by the ids of workspaces and the hashes of keys."""
        self._call("PUT", "/spend", dollars)

    def faults(self, *rules: Fault | Mapping[str, Any]) -> None:
        """Replace the active fault rules; without a rule, no request fails any more.

        Raises:
            ValueError: A rule is invalid; the message says why.
        """
        faults = parse_rules(rules)
        self._call("PUT", "/faults", {"rules": [fault.to_json() for fault in faults]})

    def fault_status(self) -> list[dict[str, Any]]:
        """Return the active rules, each with the number of requests it has ``seen`` and ``met``."""
        return cast("list[dict[str, Any]]", self._call("GET", "/faults")["rules"])

    def requests(self) -> list[dict[str, Any]]:
        """Return the latest requests and their outcomes, oldest first."""
        return cast("list[dict[str, Any]]", self._call("GET", "/requests")["requests"])

    def add_key(
        self,
        key: str,
        *,
        workspace_id: str | None = None,
        user_id: str | None = None,
        management: bool = False,
    ) -> None:
        """Add an API key, of one workspace or (without ``workspace_id``) of the whole account."""
        body = {"workspace_id": workspace_id, "user_id": user_id, "management": management}
        self._call("POST", "/keys", {"key": key, **body})

    def remove_key(self, key: str) -> None:
        """Remove an added API key."""
        self._call("DELETE", "/keys", {"key": key})

    def providers(self, **keys: bool) -> None:
        """Set whether the account has its own API key at a provider: ``openai=True``."""
        self._call("PUT", "/providers", keys)

    def settings(self, **settings: bool | int | None) -> None:
        """Set ``default_workspace_deletion`` or ``max_page``, the limit of rows in a page."""
        self._call("PUT", "/settings", settings)

    def reset(self) -> None:
        """Delete everything stored, and forget rules, requests, added keys and settings."""
        self._call("POST", "/reset")

    def _call(
        self, method: str, path: str, body: bytes | Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        if isinstance(body, Mapping):
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        url = urlsplit(self.base_url)
        connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=60)
        try:
            connection.request(method, ADMIN + path, body, headers)
            response = connection.getresponse()
            result = cast("dict[str, Any]", json.loads(response.read()))
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ValueError(result["error"]["message"])
        return result
