"""Downloads that are streamed."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self, TypeVar

from ..errors import NoAnswerError
from .response import Response

__all__ = [
    "Download",
    "read_all",
]


T = TypeVar("T")


class Fetch(Protocol):
    """Requests the download and returns what ``parse`` makes of the response."""

    def __call__(
        self, parse: Callable[[Response], Awaitable[T]], after: Response | None = None, /
    ) -> Awaitable[T]:
        """Request it, within what is left of the call ``after`` a response that broke off."""
        ...


class Download:
    """A download that is open while its ``async with`` block runs.

    Example:
        ```python
        async with client.files.download(file_id) as download:
            print(download.size, download.content_type)
            content = await download.read()  # or chunk by chunk: async for chunk in download
        ```

    Attributes:
        size: Length of the content in bytes, or None if the service does not say.
        content_type: The response's media type, or None.
    """

    def __init__(self, fetch: Fetch, file_id: str = "") -> None:
        self._fetch = fetch
        self._file_id = file_id
        self._response: Response | None = None
        self._started = False

    def __repr__(self) -> str:
        state = "not open"
        if self._response:
            state = "size unknown" if self.size is None else f"{self.size} bytes"
            state += f", {self.content_type:.100}" if self.content_type else ""
        return f"<{type(self).__name__} of {self._file_id!r:.100}: {state}>"

    async def __aenter__(self) -> Self:
        self._response = await self._fetch(_keep)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._response:
            await self._response.aclose()

    @property
    def _open(self) -> Response:
        if self._response is None:
            msg = "a download is read inside its 'async with' (or 'with') block"
            raise RuntimeError(msg)
        return self._response

    @property
    def size(self) -> int | None:
        """Length of the content in bytes, or None if the service does not say."""
        return self._open.size

    @property
    def content_type(self) -> str | None:
        """The response's media type, or None."""
        return self._open.content_type

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Yield the content as it arrives; it can be read once.

        Raises:
            NoAnswerError: It broke off. The chunks yielded so far are correct.
        """
        response = self._open
        if self._started:
            msg = "the content was read already: it can be read once"
            raise RuntimeError(msg)
        self._started = True
        return response.chunks()

    async def read(self) -> bytes:
        """Return all of the content; if it breaks off, it is fetched again from its start.

        Raises:
            OpenRouterError: It could not be fetched.
        """
        response = self._open
        try:
            return b"".join([chunk async for chunk in self])
        except NoAnswerError:
            if not response.may_retry:
                raise
        await response.aclose()  # the next attempt may need its connection
        return await self._fetch(read_all, response)


async def _keep(response: Response) -> Response:
    return response


async def read_all(response: Response) -> bytes:
    """Read the whole content into memory."""
    content = b"".join([chunk async for chunk in response.chunks()])
    await response.aclose()
    return content
