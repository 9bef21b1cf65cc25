"""Upload a folder in the background of a service, in any framework."""

import asyncio
from collections.abc import AsyncIterator

from openrouter_async import AsyncOpenRouter, errors
from openrouter_async.transfers import TransferProgress


class Outbox:
    """Uploads a folder in the background and reports its progress to any number of watchers."""

    def __init__(self, client: AsyncOpenRouter, folder: str) -> None:
        self._client = client
        self._folder = folder
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.state: dict[str, object] = {"status": "idle"}

    def start(self) -> None:
        """Upload the new files of the folder, unless a run is in progress."""
        if self._task is None or self._task.done():
            self._publish(status="running", done=0)
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Cancel the run; the next one continues from the journal."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def watch(self) -> AsyncIterator[dict[str, object]]:
        """Yield the current state and each change of it, until no run is in progress."""
        while True:
            changed = self._changed
            yield self.state
            if self.state["status"] != "running":
                return
            await changed.wait()

    async def _run(self) -> None:
        end: dict[str, object] = {"status": "failed", "error": "interrupted"}
        try:
            report = await self._client.files.upload_tree(
                self._folder, journal=f"{self._folder}.jsonl", progress=self._report
            )
            end = {"status": "done" if report.ok else "failed", "counts": report.counts}
        except errors.OpenRouterError as error:
            end = {"status": "failed", "error": str(error)}
        finally:
            self._publish(**end)

    def _report(self, progress: TransferProgress) -> None:
        self._publish(status="running", done=progress.items_done, total=progress.items_total)

    def _publish(self, **state: object) -> None:
        self.state = state
        self._changed.set()
        self._changed = asyncio.Event()
