"""TODO openrouter_async._core.download."""

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
    """Carries out the download, its response going to ``receive``."""

    def __call__(
        self, receive: Callable[[Response], Awaitable[T]], after: Response | None = None, /
    ) -> Awaitable[T]:
        """Return what ``receive`` makes of the response; ``after`` one that broke off, if any."""
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

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._answer: Response | None = None
        self._begun = False

    async def __aenter__(self) -> Self:
        self._answer = await self._fetch(_keep)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._answer:
            await self._answer.aclose()

    @property
    def _open(self) -> Response:
        if self._answer is None:
            msg = "a download is read inside its 'async with' (or 'with') block"
            raise RuntimeError(msg)
        return self._answer

    @property
    def size(self) -> int | None:
        """Length of the content in bytes, or None if the service does not say."""
        return self._open.size

    @property
    def content_type(self) -> str | None:
        """The response's media type, or None."""
        return self._open.content_type

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """The content as it arrives; it can be read once.

        Raises:
            NoAnswerError: It broke off. What was given out is right as far as it goes.
        """
        response = self._open
        if self._begun:
            msg = "the content was read already: it can be read once"
            raise RuntimeError(msg)
        self._begun = True
        return response.chunks()

    async def read(self) -> bytes:
        """All of the content; if it breaks off, it is fetched again from its start.

        Raises:
            OpenRouterError: It could not be fetched.
        """
        response = self._open
        try:
            return b"".join([chunk async for chunk in self])
        except NoAnswerError:
            if not response.may_repeat:
                raise
        await response.aclose()  # the next attempt may need its connection
        return await self._fetch(read_all, response)


async def _keep(response: Response) -> Response:
    return response


async def read_all(response: Response) -> bytes:
    """Receive the whole content into memory."""
    content = b"".join([chunk async for chunk in response.chunks()])
    await response.aclose()
    return content
