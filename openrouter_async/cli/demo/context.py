"""The state that the demo's steps share."""

import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import Factory, define, field

from ... import AsyncOpenRouter, FileMetadata, Hooks, RequestEvent, RetryEvent, Workspace
from .runner import Report
from .samples import Sample

if TYPE_CHECKING:
    from ...emulator import Emulator

__all__ = ["Context"]


@define(eq=False, repr=False)
class Context:
    """What a step leaves for the steps after it; `stack` closes all that they open."""

    report: Report = Factory(Report)
    stack: AsyncExitStack = Factory(AsyncExitStack)
    client: AsyncOpenRouter = field(init=False)
    workspace: Workspace = field(init=False)
    emulator: "Emulator | None" = None
    directory: Path | None = None
    folder: str = field(factory=lambda: f"openrouter-async-demo-{secrets.token_hex(4)}")
    """Prefix of the demo's files in the service."""
    samples: list[Sample] = Factory(list)
    stored: dict[str, FileMetadata] = Factory(dict)
    """Files in the service, by filename."""
    retries: list[RetryEvent] = Factory(list)
    requests: int = 0

    async def open_client(self, api_key: str | None = None, url: str | None = None) -> str:
        """Open a client that counts requests and reports retries; return its server's URL."""
        hooks = Hooks(on_request=self._on_request, on_retry=self._on_retry)
        client = AsyncOpenRouter(api_key, server_url=url, hooks=hooks)
        self.client = await self.stack.enter_async_context(client)
        return client.transport.settings.server_url

    def _on_request(self, _: RequestEvent) -> None:
        self.requests += 1

    def _on_retry(self, event: RetryEvent) -> None:
        self.retries.append(event)
        cause = event.status_code or type(event.error).__name__
        line = f"attempt {event.attempt}: {cause}; retrying in {event.wait:.2f} s"
        self.report.say(line, "yellow")
