"""The Files API: one function per operation, over `AsyncTransport`.

Source of limits and rules: the Files section of OpenRouter's OpenAPI document.

Beside paths, bytes, files and iterators, `upload_file` takes what other libraries read from, chunk
by chunk and without an adapter:

| source | name | length | sent again on a retry |
|---|---|---|---|
| ``UploadFile`` of Starlette and FastAPI | its own | measured | from its initial position |
| ``BodyPartReader`` of aiohttp (a part of a form) | its own | unknown | no |
| ``StreamReader``, ``request.stream()`` | ``filename=`` | unknown | no |
| a streamed ``httpx.Response``, ``aiter_bytes()`` | ``filename=`` | from headers | no |
| ``anyio.AsyncFile``, files of fsspec | its own | measured | from its initial position |

They are recognised by their methods: an awaitable ``read(size)``, with or without ``seek`` and
``tell``; a coroutine function ``read_chunk(size)``; ``aiter_bytes()`` and ``headers``. The source's
content type is used too. A source that is bound to an event loop (a request's stream) needs the
async client in that loop. A part with a transfer encoding is decoded if that is base64, and refused
otherwise.
"""

from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, Unpack
from uuid import UUID

from .._content.bodies import MultipartBody, Progress
from .._content.names import FileSource
from .._content.sources import open_source
from .._content.targets import Target
from .._core.call import LostResponse
from .._core.download import Download
from .._core.operation import Operation
from .._core.options import CallOptions
from .._core.paging import Pager, check_limit
from .._core.transport import AsyncTransport
from .._values import to_text
from ..errors import IntegrityError, InvalidRequestError, NoAnswerError, UploadOutcomeUnknown
from ..models import (
    FileDeleteResponse,
    FileMetadata,
    FileOrder,
    FilePage,
    FileProvider,
    Query,
)
from ._content import find_upload, receive, save, stream

__all__ = [
    "DELETE_FILE",
    "DOWNLOAD_FILE",
    "LIST_FILES",
    "RETRIEVE_FILE",
    "UPLOAD_FILE",
    "delete_file",
    "download_file",
    "download_file_to",
    "list_files",
    "retrieve_file",
    "upload_file",
]

LIST_FILES = Operation("GET", "/files", FilePage)
UPLOAD_FILE = Operation("POST", "/files", FileMetadata, streams_content=True)
DELETE_FILE = Operation("DELETE", "/files/{file_id}", FileDeleteResponse, named_by=("id",))
RETRIEVE_FILE = Operation("GET", "/files/{file_id}", FileMetadata, named_by=("id",))
# What the call returns depends on its ``parse``: bytes, a stream or a path.
DOWNLOAD_FILE: Operation[Any] = Operation(
    "GET", "/files/{file_id}/content", object, streams_content=True
)

_MAX_LIMIT = 1000


def list_files(
    transport: AsyncTransport,
    *,
    limit: int | None = None,
    cursor: str | None = None,
    workspace_id: str | UUID | None = None,
    provider: FileProvider | str | None = None,
    after: str | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    order: FileOrder | str | None = None,
    **options: Unpack[CallOptions],
) -> Pager[FilePage, FileMetadata]:
    """Return the files of a workspace, oldest first.

    Example:
        ```python
        async for file in client.files.list():  # every file
            print(file.filename)
        page = await client.files.list(limit=20)  # one page
        ```

    Args:
        limit: Files per page, 1 to 1000; the service's default is 100.
        cursor: The ``cursor`` of the previous page.
        workspace_id: The workspace (UUID); the API key's workspace if omitted.
        provider: List the files stored at this provider with your own key.
        after: Id of the file to list after, as OpenAI names it; cannot be used with ``cursor``.
        after_id: Id of the file to list after, as Anthropic names it.
        before_id: Id of the file to list before; OpenRouter's own storage rejects it.
        order: ``asc`` or ``desc``; OpenRouter's own storage accepts only ``asc``.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        A pager over `FilePage` and `FileMetadata`; nothing is sent before it is iterated.

    Raises:
        InvalidRequestError: The limit is out of range, or ``cursor`` and ``after`` are both given.
        PaginationError: The service named the same page twice.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    check_limit(limit, _MAX_LIMIT)
    if cursor is not None and after is not None:
        msg = "cursor and after cannot be given together"
        raise InvalidRequestError(msg)
    transport = transport.with_options(**options)

    async def fetch(query: Query) -> FilePage:
        return await transport.call(LIST_FILES, query=query)

    return Pager(
        fetch,
        limit=limit,
        cursor=cursor,
        workspace_id=workspace_id,
        provider=provider,
        after=after,
        after_id=after_id,
        before_id=before_id,
        order=order,
    )


async def upload_file(
    transport: AsyncTransport,
    file: FileSource,
    *,
    filename: str | None = None,
    content_type: str | None = None,
    workspace_id: str | UUID | None = None,
    provider: FileProvider | str | None = None,
    progress: Progress | None = None,
    check_size: bool = True,
    **options: Unpack[CallOptions],
) -> FileMetadata:
    """Upload a file and return its metadata.

    The content is read in chunks, in worker threads: the event loop never waits for a disk, and
    memory use does not grow with the file. A retry sends the same bytes from the start; content
    that can be read only once is never sent twice.

    Example:
        ```python
        file = await client.files.upload("report.pdf")
        file = await client.files.upload(b"1,2,3", filename="data/table.csv")
        print(file.id, file.mime_type, file.size_bytes)
        ```

    Args:
        file: A path, bytes, a binary file object (sent from its current position), an
            iterator of bytes (sync or async), or a tuple ``(filename, content[, content_type])``.
        filename: Name to store the file under, 1 to 255 characters; ``/`` separates folders. The
            content's own filename if omitted.
        content_type: Media type to declare; guessed from the filename if omitted. The service
            decides by the content: PDF, PNG, JPEG, GIF, WebP, DOCX, XLSX, PPTX, MP3, WAV, FLAC,
            OGG or UTF-8 text.
        workspace_id: Workspace to store the file in (UUID); the API key's workspace if omitted.
        provider: Store the file at this provider with your own key.
        progress: Called (or awaited) with the bytes sent and the total (None if unknown).
        check_size: Whether to reject files of 0 or more than 104,857,600 bytes before anything is
            sent, if the size is known; otherwise the service decides.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The stored file's metadata.

    Raises:
        UploadSourceError: The content cannot be read, is empty or too large, or changed during
            the upload. Nothing was stored.
        InvalidRequestError: The filename breaks the service's rules. Nothing was sent.
        PayloadTooLargeResponseError: The service found the file larger than 100 MiB.
        UploadOutcomeUnknown: The upload was sent completely, but its response was lost: the file
            may exist.
        IntegrityError: The number of bytes stored differs from the number sent.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived, and nothing was stored.
    """
    transport = transport.with_options(**options)
    source = await transport.within_total(
        lambda: open_source(file, filename, content_type, check_size=check_size),
        "examining the file",
    )
    body = MultipartBody(source, progress)
    scope = {"workspace_id": workspace_id, "provider": provider}

    def outcome_unknown(reason: NoAnswerError, started: datetime) -> UploadOutcomeUnknown:
        return UploadOutcomeUnknown(
            filename=source.filename, size=body.sent, started=started, reason=reason
        )

    async def reconcile(began: float) -> FileMetadata | None:
        listing = list_files(
            transport, limit=_MAX_LIMIT, workspace_id=workspace_id, provider=provider
        )
        return await find_upload(transport, listing, source.filename, body.sent, began)

    with transport.uploads_seen.sending(source.filename, source.size):
        stored = await transport.call(
            UPLOAD_FILE,
            query=scope,
            body=body,
            lost_response=LostResponse(error=outcome_unknown, reconcile=reconcile),
        )
    transport.uploads_seen.add(stored.id)
    if stored.size_bytes != body.sent:
        counts = f"{body.sent} bytes were sent, {stored.size_bytes} stored"
        msg = f"the upload of {source.filename!r:.100} is damaged (stored as {stored.id}): {counts}"
        raise IntegrityError(msg)
    return stored


async def delete_file(
    transport: AsyncTransport,
    file_id: str | UUID,
    *,
    workspace_id: str | UUID | None = None,
    provider: FileProvider | str | None = None,
    **options: Unpack[CallOptions],
) -> FileDeleteResponse:
    """Delete a file permanently.

    Example:
        ```python
        file = await client.files.upload("report.pdf")
        await client.files.delete(file.id)
        ```

    Args:
        file_id: The file's id.
        workspace_id: The file's workspace (UUID); the API key's workspace if omitted.
        provider: Delete the file at this provider with your own key.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The confirmation, also if a retry finds that an earlier attempt has deleted the file.

    Raises:
        NotFoundResponseError: The workspace has no such file.
        IntegrityError: The response is for another file.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    return await transport.call(
        DELETE_FILE,
        {"file_id": file_id},
        query={"workspace_id": workspace_id, "provider": provider},
        already_deleted=FileDeleteResponse(id=to_text(file_id), type="file_deleted"),
        **options,
    )


async def retrieve_file(
    transport: AsyncTransport,
    file_id: str | UUID,
    *,
    workspace_id: str | UUID | None = None,
    provider: FileProvider | str | None = None,
    **options: Unpack[CallOptions],
) -> FileMetadata:
    """Return a file's metadata.

    Example:
        ```python
        file = await client.files.retrieve(file_id)
        print(file.filename, file.size_bytes, file.created_at)
        ```

    Args:
        file_id: The file's id.
        workspace_id: The file's workspace (UUID); the API key's workspace if omitted.
        provider: Look the file up at this provider with your own key.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The metadata.

    Raises:
        NotFoundResponseError: The workspace has no such file.
        IntegrityError: The response is for another file.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    query = {"workspace_id": workspace_id, "provider": provider}
    return await transport.call(RETRIEVE_FILE, {"file_id": file_id}, query=query, **options)


def download_file(
    transport: AsyncTransport,
    file_id: str | UUID,
    *,
    workspace_id: str | UUID | None = None,
    provider: FileProvider | str | None = None,
    **options: Unpack[CallOptions],
) -> Download:
    """Return a file's content as a stream.

    Example:
        ```python
        async with client.files.download(file_id) as download:
            print(download.size, download.content_type)
            async for chunk in download:  # or: content = await download.read()
                print(len(chunk))
        ```

    Args:
        file_id: The file's id.
        workspace_id: The file's workspace (UUID); the API key's workspace if omitted.
        provider: Read the file at this provider with your own key.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The download; its request is sent when the ``with`` block is entered.

    Raises:
        BadRequestResponseError: The file was uploaded: only files that the service itself
            created can be downloaded.
        NotFoundResponseError: The workspace has no such file.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    query = {"workspace_id": workspace_id, "provider": provider}
    return stream(transport, DOWNLOAD_FILE, {"file_id": file_id}, query, **options)


async def download_file_to(
    transport: AsyncTransport,
    file_id: str | UUID,
    path: str | PathLike[str] | None = None,
    *,
    directory: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    workspace_id: str | UUID | None = None,
    provider: FileProvider | str | None = None,
    **options: Unpack[CallOptions],
) -> Path:
    """Download a file's content into a local file and return its path.

    The content is written to a temporary file beside the target, which is renamed when complete:
    the target is never a partial file. A download that breaks off starts again.

    Example:
        ```python
        path = await client.files.download_to(file_id, "result.bin")
        path = await client.files.download_to(file_id, directory="results", overwrite=True)
        ```

    Args:
        file_id: The file's id.
        path: The file to write.
        directory: Instead of ``path``, the directory to write into, which is created if it does
            not exist; the local filename is the last segment of the file's name at the service.
        overwrite: Whether to replace an existing file.
        progress: Called (or awaited) with the bytes received and the total (None if unknown).
        workspace_id: The file's workspace (UUID); the API key's workspace if omitted.
        provider: Read the file at this provider with your own key.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The path that was written.

    Raises:
        DownloadTargetError: The target exists, cannot be written, or would have an unsafe name.
        IntegrityError: The content does not have the announced length, or that of the metadata.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    query = {"workspace_id": workspace_id, "provider": provider}
    transport = transport.with_options(**options)

    async def look_up() -> tuple[str, int]:
        file = await transport.call(RETRIEVE_FILE, {"file_id": file_id}, query=query)
        return file.filename, file.size_bytes

    return await save(
        transport,
        DOWNLOAD_FILE,
        {"file_id": file_id},
        path,
        directory,
        look_up,
        overwrite=overwrite,
        progress=progress,
        query=query,
    )


async def download_into(
    transport: AsyncTransport,
    file_id: str | UUID,
    target: Target,
    workspace_id: str | UUID | None,
    provider: FileProvider | str | None,
) -> Path:
    """Download a file's content into a target, and return its path."""
    query = {"workspace_id": workspace_id, "provider": provider}
    return await receive(transport, DOWNLOAD_FILE, {"file_id": file_id}, target, query)
