"""Files of containers, which models' tools made: one function per operation, over `AsyncTransport`.

Results of the shell and bash tools name a container and its files. They are kept for 30 days after
the container was last used; a promoted file is kept in the workspace, and can be downloaded.
"""

from base64 import urlsafe_b64decode
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, Unpack
from uuid import UUID

from .. import models
from .._content.bodies import Progress
from .._core.call import LostResponse
from .._core.download import Download
from .._core.operation import Operation
from .._core.options import CallOptions
from .._core.paging import Pager, check_limit
from .._core.transport import AsyncTransport
from .._values import to_text
from ..errors import NoAnswerError, UploadOutcomeUnknown
from ._content import find_upload, save, stream
from .files import list_files

__all__ = [
    "DOWNLOAD_CONTAINER_FILE",
    "LIST_CONTAINER_FILES",
    "PROMOTE_CONTAINER_FILE",
    "RETRIEVE_CONTAINER_FILE",
    "download_container_file",
    "download_container_file_to",
    "list_container_files",
    "promote_container_file",
    "retrieve_container_file",
]

_ALL = "/containers/{container_id}/files"
_ONE = _ALL + "/{file_id}"

LIST_CONTAINER_FILES = Operation("GET", _ALL, models.ContainerFilePage)
RETRIEVE_CONTAINER_FILE = Operation("GET", _ONE, models.ContainerFile, named_by=("id",))
DOWNLOAD_CONTAINER_FILE: Operation[Any] = Operation(
    "GET", _ONE + "/content", object, streams_content=True
)
PROMOTE_CONTAINER_FILE = Operation("POST", _ONE + "/promote", models.FileMetadata)

_MAX_LIMIT = 1000


def list_container_files(
    transport: AsyncTransport,
    container_id: str | UUID,
    *,
    limit: int | None = None,
    after: str | None = None,
    **options: Unpack[CallOptions],
) -> Pager[models.ContainerFilePage, models.ContainerFile]:
    """Return a container's files in the order of their paths.

    Example:
        ```python
        async for file in client.containers.list_files("sess_abc"):
            print(file.path, file.bytes)
        ```

    Args:
        container_id: The container's id, as in the result of a shell or bash tool.
        limit: Files per page, 1 to 1000; the service's default is 100.
        after: The ``last_id`` of the previous page.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        A pager over `ContainerFilePage` and `ContainerFile`; nothing is sent before it is iterated.

    Raises:
        InvalidRequestError: The limit is out of range.
        PaginationError: The service named the same page twice.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    check_limit(limit, _MAX_LIMIT)
    params = {"container_id": container_id}
    LIST_CONTAINER_FILES.expand(params)
    transport = transport.with_options(**options)

    async def fetch(query: models.Query) -> models.ContainerFilePage:
        return await transport.call(LIST_CONTAINER_FILES, params, query=query)

    return Pager(fetch, limit=limit, after=after)


async def retrieve_container_file(
    transport: AsyncTransport,
    container_id: str | UUID,
    file_id: str | UUID,
    **options: Unpack[CallOptions],
) -> models.ContainerFile:
    """Return the metadata of a container's file.

    Example:
        ```python
        file = await client.containers.retrieve_file("sess_abc", "cfile_cGxvdC5wbmc")
        print(file.path, file.bytes, file.created_at)
        ```

    Args:
        container_id: The container's id.
        file_id: The file's id.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The metadata.

    Raises:
        NotFoundResponseError: The container has no such file.
        IntegrityError: The response is for another file.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    params = {"container_id": container_id, "file_id": file_id}
    return await transport.call(RETRIEVE_CONTAINER_FILE, params, **options)


def download_container_file(
    transport: AsyncTransport,
    container_id: str | UUID,
    file_id: str | UUID,
    **options: Unpack[CallOptions],
) -> Download:
    """Return the content of a container's file as a stream.

    Example:
        ```python
        async with client.containers.download_file("sess_abc", "cfile_cGxvdC5wbmc") as download:
            content = await download.read()
        ```

    Args:
        container_id: The container's id.
        file_id: The file's id.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The download; its request is sent when the ``with`` block is entered.

    Raises:
        NotFoundResponseError: The container has no such file.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    params = {"container_id": container_id, "file_id": file_id}
    return stream(transport, DOWNLOAD_CONTAINER_FILE, params, **options)


async def download_container_file_to(
    transport: AsyncTransport,
    container_id: str | UUID,
    file_id: str | UUID,
    path: str | PathLike[str] | None = None,
    *,
    directory: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[CallOptions],
) -> Path:
    """Download the content of a container's file into a local file and return its path.

    The target is never a partial file, as with `Files.download_to`.

    Example:
        ```python
        file_id = "cfile_cGxvdC5wbmc"
        path = await client.containers.download_file_to("sess_abc", file_id, "plot.png")
        path = await client.containers.download_file_to("sess_abc", file_id, directory="plots")
        ```

    Args:
        container_id: The container's id.
        file_id: The file's id.
        path: The file to write.
        directory: Instead of ``path``, the directory to write into, which is created if it does
            not exist; the local filename is the last segment of the file's path.
        overwrite: Whether to replace an existing file.
        progress: Called (or awaited) with the bytes received and the total (None if unknown).
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The path that was written.

    Raises:
        DownloadTargetError: The target exists, cannot be written, or would have an unsafe name.
        IntegrityError: The content does not have the announced length, or that of the metadata.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    params = {"container_id": container_id, "file_id": file_id}
    transport = transport.with_options(**options)

    async def look_up() -> tuple[str, int]:
        file = await retrieve_container_file(transport, container_id, file_id)
        return file.path, file.bytes

    return await save(
        transport,
        DOWNLOAD_CONTAINER_FILE,
        params,
        path,
        directory,
        look_up,
        overwrite=overwrite,
        progress=progress,
    )


async def promote_container_file(
    transport: AsyncTransport,
    container_id: str | UUID,
    file_id: str | UUID,
    **options: Unpack[CallOptions],
) -> models.FileMetadata:
    """Copy a container's file into its workspace and return the new file, which stays.

    Each call makes another file. It is named after the path in the container, counts towards the
    workspace's storage, and can be downloaded. A lost response is treated as that of an upload.

    Example:
        ```python
        file = await client.containers.promote_file("sess_abc", "cfile_cGxvdC5wbmc")
        print(file.id, file.filename)
        ```

    Args:
        container_id: The container's id.
        file_id: The file's id.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The new file's metadata.

    Raises:
        NotFoundResponseError: The container has no such file.
        PayloadTooLargeResponseError: The file is larger than 100 MiB.
        UploadOutcomeUnknown: The response was lost: the new file may exist. With
            ``on_ambiguous_upload="reconcile"`` it is looked for instead.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived, and nothing was stored.
    """
    transport = transport.with_options(**options)
    filename = _path_in(to_text(file_id))

    def outcome_unknown(reason: NoAnswerError, started: datetime) -> UploadOutcomeUnknown:
        return UploadOutcomeUnknown(filename=filename, size=None, started=started, reason=reason)

    async def reconcile(began: float) -> models.FileMetadata | None:
        file = await retrieve_container_file(transport, container_id, file_id)
        listing = list_files(transport, limit=_MAX_LIMIT)
        return await find_upload(transport, listing, file.path, file.bytes, began)

    with transport.uploads_seen.sending(filename, None):
        stored = await transport.call(
            PROMOTE_CONTAINER_FILE,
            {"container_id": container_id, "file_id": file_id},
            lost_response=LostResponse(error=outcome_unknown, reconcile=reconcile),
        )
    transport.uploads_seen.add(stored.id)
    return stored


def _path_in(file_id: str) -> str:
    """Return the path that a file's id encodes; the id itself if it does not."""
    encoded = file_id.removeprefix("cfile_")
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return file_id
