"""What the demo's steps share: where they show things, the client, and what is to be undone."""

import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import Factory, define, field

from ... import (
    AsyncOpenRouter,
    FileMetadata,
    Hooks,
    RequestEvent,
    ResponseEvent,
    RetryEvent,
    Workspace,
)
from .runner import Stage
from .samples import Sample

if TYPE_CHECKING:
    from ...emulator import Emulator

__all__ = ["Scene"]


@define(eq=False, repr=False)
class Scene:
    """What one step leaves for the next; a step before sets what a later one reads."""

    client: AsyncOpenRouter = field(init=False)
    workspace: Workspace = field(init=False)
    emulator: "Emulator | None" = None
    directory: Path | None = None
    stage: Stage = Factory(Stage)
    stack: AsyncExitStack = Factory(AsyncExitStack)
    """Closes whatever was opened."""
    folder: str = field(factory=lambda: f"openrouter-async-demo-{secrets.token_hex(4)}")
    """Where in the service the demo's files are, and nobody else's."""
    samples: list[Sample] = Factory(list)
    stored: dict[str, FileMetadata] = Factory(dict)
    """What is in the service, by its name there."""
    unanswered: set[str] = Factory(set)
    """Names whose upload began and was not answered: they may be in the service too."""
    url: str = ""
    """Of the latest answer."""
    retries: list[RetryEvent] = Factory(list)
    requests: int = 0

    def hooks(self) -> Hooks:
        """What lets the demo watch its own client."""
        return Hooks(
            on_request=self._on_request, on_response=self._on_response, on_retry=self._on_retry
        )

    def _on_request(self, _: RequestEvent) -> None:
        self.requests += 1

    def _on_response(self, event: ResponseEvent) -> None:
        self.url = event.url

    def _on_retry(self, event: RetryEvent) -> None:
        self.retries.append(event)
        what = event.status_code or type(event.error).__name__
        self.stage.say(
            f"attempt {event.attempt}: {what}; the next follows in {event.wait:.2f} s", "yellow"
        )
