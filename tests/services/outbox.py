# outbox.py
import asyncio
from collections.abc import AsyncIterator

from openrouter_async import AsyncOpenRouter, errors
from openrouter_async.transfers import TransferProgress


class Outbox:
    """Uploads a folder in the background, and tells whoever watches how far it is."""

    def __init__(self, client: AsyncOpenRouter, folder: str) -> None:
        self._client = client
        self._folder = folder
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.state: dict[str, object] = {"status": "idle"}

    def start(self) -> None:
        """Upload what is new in the folder, unless that is under way already."""
        if self._task is None or self._task.done():
            self._tell(status="running", done=0)
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Break the run off; the journal knows where the next one goes on."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def watch(self) -> AsyncIterator[dict[str, object]]:
        """The state now and whenever it has changed, until nothing is under way."""
        while True:
            news = self._news
            yield self.state
            if self.state["status"] != "running":
                return
            await news.wait()

    async def _run(self) -> None:
        end: dict[str, object] = {"status": "failed", "error": "broken off"}
        try:
            report = await self._client.files.upload_tree(
                self._folder, journal=f"{self._folder}.jsonl", progress=self._show
            )
            end = {"status": "done" if report.ok else "failed", "counts": report.counts}
        except errors.OpenRouterError as error:
            end = {"status": "failed", "error": str(error)}
        finally:
            self._tell(**end)

    def _show(self, progress: TransferProgress) -> None:
        self._tell(status="running", done=progress.items_done, total=progress.items_total)

    def _tell(self, **state: object) -> None:
        self.state = state
        self._news.set()
        self._news = asyncio.Event()
