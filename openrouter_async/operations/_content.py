"""What files and the files of containers share: downloads, and how a lost upload is found again."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from os import PathLike
from pathlib import Path
from typing import Any, Final, TypeVar, Unpack
from uuid import UUID

from .._content.bodies import Progress
from .._content.targets import Target, base_name
from .._core.call import Query
from .._core.download import Download
from .._core.operation import Operation
from .._core.options import CallOptions
from .._core.paging import Pager
from .._core.response import Response
from .._core.transport import AsyncTransport
from .._core.uploads_seen import assign, key_of
from .._values import to_text
from ..errors import InvalidRequestError
from ..models import FileMetadata, FilePage

__all__ = ["find_upload", "receive", "save", "stream"]

T = TypeVar("T")
Params = Mapping[str, str | UUID]

# Without compression, so that the announced length is that of the content.
_RAW: Final = {"accept": "application/octet-stream", "accept-encoding": "identity"}


def stream(
    transport: AsyncTransport,
    operation: Operation[Any],
    params: Params,
    query: Query | None = None,
    **options: Unpack[CallOptions],
) -> Download:
    """Return a download, whose request is sent when its block is entered."""
    # So that an invalid id or option raises here, not when the block is entered.
    operation.expand(params)
    transport = transport.with_options(**options)

    def fetch(
        parse: Callable[[Response], Awaitable[T]], after: Response | None = None
    ) -> Awaitable[T]:
        return (transport.after(after) if after else transport).call(
            operation, params, query=query, headers=_RAW, parse=parse
        )

    return Download(fetch, to_text(params["file_id"]))


async def save(
    transport: AsyncTransport,
    operation: Operation[Any],
    params: Params,
    path: str | PathLike[str] | None,
    directory: str | PathLike[str] | None,
    look_up: Callable[[], Awaitable[tuple[str, int]]],
    *,
    overwrite: bool,
    progress: Progress | None,
    query: Query | None = None,
) -> Path:
    """Download into ``path``, or into ``directory`` under the name that ``look_up`` returns.

    Args:
        transport: With the options of the call.
        operation: The download.
        params: Values for the operation's path.
        path: The file to write.
        directory: Instead of ``path``, the directory to write into.
        look_up: Returns the file's name at the service and its size in bytes.
        overwrite: Whether to replace an existing file.
        progress: Called with the bytes received and the total.
        query: Parameters of the operation.
    """
    if (path is None) == (directory is None):
        msg = "pass either path or directory"
        raise InvalidRequestError(msg)
    size = None
    if directory is not None:
        name, size = await look_up()
        path = Path(directory, base_name(name))
    target = Target(
        Path(path or ""),
        overwrite=overwrite,
        progress=progress,
        size=size,
        create_folder=directory is not None,
        follow_link=directory is None,
    )
    return await receive(transport, operation, params, target, query)


async def receive(
    transport: AsyncTransport,
    operation: Operation[Any],
    params: Params,
    target: Target,
    query: Query | None = None,
) -> Path:
    """Download a file's content into a target, and return its path."""
    await target.check()
    return await transport.call(operation, params, query=query, headers=_RAW, parse=target.receive)


async def find_upload(
    transport: AsyncTransport,
    listing: Pager[FilePage, FileMetadata],
    filename: str,
    size: int,
    began: float,
) -> FileMetadata | None:
    """Return the file that a lost upload has become, by the rule of `uploads_seen`.

    Raises:
        LookupError: There are fewer candidates than uploads that may have created them.
    """
    key, clock, seen = key_of(filename, size), transport.clock, transport.uploads_seen
    async with aclosing(aiter(listing)) as files:
        candidates = [
            file
            async for file in files
            if key_of(file.filename, file.size_bytes) == key
            # By now the listing's responses have set the service's clock.
            and file.created_at >= clock.time_at(began) - clock.margin
            and file.id not in seen
        ]
    if not candidates:
        return None
    # No await from here on, so that two concurrent uploads never take the same file.
    since = began - clock.margin.total_seconds()
    found = assign(
        [file for file in candidates if file.id not in seen], seen.open_uploads(key, since)
    )
    if not found:
        raise LookupError(filename)
    seen.add(found[0].id)
    return found[0]
