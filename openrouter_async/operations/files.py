"""The Files API: one function per operation, over `AsyncTransport`.

Source of limits and rules: the Files section of OpenRouter's OpenAPI document.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack

from .._content.bodies import MultipartBody, Progress
from .._content.sources import FileSource, open_source
from .._content.targets import Target, base_name
from .._core.call import LostResponse
from .._core.download import Download
from .._core.operation import Operation
from .._core.options import CallOptions
from .._core.paging import Pager, check_limit
from .._core.response import Response
from .._core.transport import AsyncTransport
from .._core.uploads_seen import assign, key_of
from ..errors import IntegrityError, InvalidRequestError, NoAnswerError, UploadOutcomeUnknown
from ..models import FileDeleteResponse, FileMetadata, FilePage, Query

__all__ = [
    "DELETE_FILE",
    "DOWNLOAD_FILE",
    "LIST_FILES",
    "RETRIEVE_FILE",
    "UPLOAD_FILE",
    "FileProvider",
    "delete_file",
    "download_file",
    "download_file_to",
    "list_files",
    "retrieve_file",
    "upload_file",
]

T = TypeVar("T")

LIST_FILES = Operation("GET", "/files", FilePage)
UPLOAD_FILE = Operation("POST", "/files", FileMetadata, streams_content=True)
DELETE_FILE = Operation("DELETE", "/files/{file_id}", FileDeleteResponse)
RETRIEVE_FILE = Operation("GET", "/files/{file_id}", FileMetadata)
# What it returns depends on who receives the content: memory, a stream or a file.
DOWNLOAD_FILE: Operation[Any] = Operation(
    "GET", "/files/{file_id}/content", object, streams_content=True
)

FileProvider = Literal["openai", "anthropic"]
"""Where to store or read a file with the caller's own key at that provider."""

_MAX_LIMIT = 1000
# Compressed content could not be told from broken content by its length.
_RAW = {"accept": "application/octet-stream", "accept-encoding": "identity"}


def list_files(
    transport: AsyncTransport,
    *,
    limit: int | None = None,
    cursor: str | None = None,
    workspace_id: str | None = None,
    provider: FileProvider | None = None,
    after: str | None = None,
    after_id: str | None = None,
    before_id: str | None = None,
    order: Literal["asc", "desc"] | None = None,
    **options: Unpack[CallOptions],
) -> Pager[FilePage, FileMetadata]:
    """List the files of a workspace, oldest first.

    Example:
        ```python
        async for file in client.files.list():  # every file
            print(file.filename)
        page = await client.files.list(limit=20)  # one page
        ```

    Args:
        limit: Files a page, 1 to 1000; the service gives 100 if omitted.
        cursor: The ``cursor`` of the page before.
        workspace_id: The workspace (UUID); the key's own if omitted.
        provider: List what is stored at that provider with your own key.
        after: The id to list after, as OpenAI names it; not together with ``cursor``.
        after_id: The id to list after, as Anthropic names it.
        before_id: The id to list before; OpenRouter's own storage refuses it.
        order: ``asc`` or ``desc``; OpenRouter's own storage takes only ``asc``.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        A pager over `FilePage` and `FileMetadata`; nothing is sent before it is read.

    Raises:
        InvalidRequestError: The limit is out of range, or ``cursor`` and ``after`` are both given.
        PaginationError: The service named a page twice.
        ResponseError: The service refused.
        NoAnswerError: No response came.
    """
    check_limit(limit, _MAX_LIMIT)
    if cursor is not None and after is not None:
        msg = "cursor and after do not go together"
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
    workspace_id: str | None = None,
    provider: FileProvider | None = None,
    progress: Progress | None = None,
    check_size: bool = True,
    **options: Unpack[CallOptions],
) -> FileMetadata:
    """Upload a file, to be referenced in later calls.

    It is read chunk by chunk in worker threads: the event loop never waits for a disk, and
    memory stays flat. An attempt that is repeated sends the same bytes from the start; what can
    be read only once is never sent twice.

    Example:
        ```python
        file = await client.files.upload("report.pdf")
        file = await client.files.upload(b"1,2,3", filename="data/table.csv")
        print(file.id, file.mime_type, file.size_bytes)
        ```

    Args:
        file: A path, bytes, a binary file object (sent from its present position), an iterator
            of bytes, plain or async, or a tuple ``(filename, content[, content_type])``.
        filename: Name to store it under, 1 to 255 characters; ``/`` makes folders. The
            file's own if omitted.
        content_type: Media type to declare; guessed from the name if omitted. The service goes
            by the content: PDF, PNG, JPEG, GIF, WebP, DOCX, XLSX, PPTX, MP3, WAV, FLAC, OGG or
            UTF-8 text.
        workspace_id: Workspace to store it in (UUID); the key's own if omitted.
        provider: Store it at that provider with your own key.
        progress: Called with the bytes sent and the bytes in all (None if unknown).
        check_size: Whether to refuse 0 bytes and over 104,857,600 before anything is sent,
            where the size is known; otherwise the service decides.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The stored file's metadata, its size in bytes, its time as an aware datetime.

    Raises:
        UploadSourceError: It cannot be read, is empty or too large, or changed while it was
            read. Nothing was stored.
        InvalidRequestError: Its name breaks the service's rules. Nothing was sent.
        PayloadTooLargeResponseError: The service found it larger than 100 MiB.
        UploadOutcomeUnknown: It was sent whole and the response was lost: it may exist.
        IntegrityError: The service stored another number of bytes than were sent.
        ResponseError: The service refused.
        NoAnswerError: No response came, and nothing was stored.
    """
    transport = transport.with_options(**options)
    source = await open_source(file, filename, content_type, check_size=check_size)
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
        return await _find_upload(transport, listing, source.filename, body.sent, began)

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
        msg = f"{source.filename!r} differs as {stored.id}: {counts}"
        raise IntegrityError(msg)
    return stored


async def _find_upload(
    transport: AsyncTransport,
    listing: Pager[FilePage, FileMetadata],
    filename: str,
    size: int,
    began: float,
) -> FileMetadata | None:
    """Return the file that a lost upload has become, by the rule of `uploads_seen`.

    Raises:
        LookupError: There are fewer files than uploads they could be.
    """
    key, clock, seen = key_of(filename, size), transport.clock, transport.uploads_seen
    async with aclosing(aiter(listing)) as files:
        candidates = [
            file
            async for file in files
            if key_of(file.filename, file.size_bytes) == key
            # The listing's own responses have told the service's time by now.
            and file.created_at >= clock.time_at(began) - clock.margin
            and file.id not in seen
        ]
    if not candidates:
        return None
    # No await from here on: of two uploads that look at once, each takes another file.
    since = began - clock.margin.total_seconds()
    found = assign(
        [file for file in candidates if file.id not in seen], seen.open_uploads(key, since)
    )
    if not found:
        raise LookupError(filename)
    seen.add(found[0].id)
    return found[0]


async def delete_file(
    transport: AsyncTransport,
    file_id: str,
    *,
    workspace_id: str | None = None,
    provider: FileProvider | None = None,
    **options: Unpack[CallOptions],
) -> FileDeleteResponse:
    """Delete a file, for good.

    Example:
        ```python
        file = await client.files.upload("report.pdf")
        await client.files.delete(file.id)
        ```

    Args:
        file_id: The file's id.
        workspace_id: The workspace it is in (UUID); the key's own if omitted.
        provider: Delete it at that provider with your own key.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The confirmation; the same if a repeated attempt finds that an earlier one had deleted it.

    Raises:
        NotFoundResponseError: There is no such file in the workspace.
        ResponseError: The service refused.
        NoAnswerError: No response came.
    """
    return await transport.call(
        DELETE_FILE,
        {"file_id": file_id},
        query={"workspace_id": workspace_id, "provider": provider},
        already_deleted=FileDeleteResponse(id=file_id, type="file_deleted"),
        **options,
    )


async def retrieve_file(
    transport: AsyncTransport,
    file_id: str,
    *,
    workspace_id: str | None = None,
    provider: FileProvider | None = None,
    **options: Unpack[CallOptions],
) -> FileMetadata:
    """Retrieve a file's metadata.

    Example:
        ```python
        file = await client.files.retrieve(file_id)
        print(file.filename, file.size_bytes, file.created_at)
        ```

    Args:
        file_id: The file's id.
        workspace_id: The workspace it is in (UUID); the key's own if omitted.
        provider: Look at that provider with your own key.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The metadata, its size in bytes, its time as an aware datetime.

    Raises:
        NotFoundResponseError: There is no such file in the workspace.
        ResponseError: The service refused.
        NoAnswerError: No response came.
    """
    query = {"workspace_id": workspace_id, "provider": provider}
    return await transport.call(RETRIEVE_FILE, {"file_id": file_id}, query=query, **options)


def download_file(
    transport: AsyncTransport,
    file_id: str,
    *,
    workspace_id: str | None = None,
    provider: FileProvider | None = None,
    **options: Unpack[CallOptions],
) -> Download:
    """Download a file's content as a stream.

    Example:
        ```python
        async with client.files.download(file_id) as download:
            print(download.size, download.content_type)
            async for chunk in download:  # or all at once: await download.read()
                print(len(chunk))
        ```

    Args:
        file_id: The file's id.
        workspace_id: The workspace it is in (UUID); the key's own if omitted.
        provider: Read it at that provider with your own key.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The download, which is requested when its block is entered.

    Raises:
        BadRequestResponseError: The file was uploaded: only those that the service itself
            created are downloadable.
        NotFoundResponseError: There is no such file in the workspace.
        ResponseError: The service refused.
        NoAnswerError: No response came, or it broke off.
    """
    query = {"workspace_id": workspace_id, "provider": provider}
    # A wrong id or option is an error of this call, not of the block.
    DOWNLOAD_FILE.expand({"file_id": file_id})
    transport = transport.with_options(**options)

    def fetch(
        parse: Callable[[Response], Awaitable[T]], after: Response | None = None
    ) -> Awaitable[T]:
        return (transport.after(after) if after else transport).call(
            DOWNLOAD_FILE, {"file_id": file_id}, query=query, headers=_RAW, parse=parse
        )

    return Download(fetch)


async def download_file_to(
    transport: AsyncTransport,
    file_id: str,
    path: str | PathLike[str] | None = None,
    *,
    directory: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    workspace_id: str | None = None,
    provider: FileProvider | None = None,
    **options: Unpack[CallOptions],
) -> Path:
    """Download a file's content into a file.

    It is written beside the target and renamed when it is complete: no partial file is ever
    seen under the final name. Content that breaks off is fetched again from its start.

    Example:
        ```python
        path = await client.files.download_to(file_id, "result.bin")
        path = await client.files.download_to(file_id, directory="results", overwrite=True)
        ```

    Args:
        file_id: The file's id.
        path: The file to write.
        directory: Instead of ``path``: the directory to write into, under the last part of the
            name that the service has for the file.
        overwrite: Whether to replace a file that is there already.
        progress: Called with the bytes received and the bytes in all (None if unknown).
        workspace_id: The workspace it is in (UUID); the key's own if omitted.
        provider: Read it at that provider with your own key.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        The path that was written.

    Raises:
        DownloadTargetError: The target exists, cannot be written, or would have an unsafe name.
        IntegrityError: The content is not as long as it was announced.
        ResponseError: The service refused.
        NoAnswerError: No response came.
    """
    where = {"workspace_id": workspace_id, "provider": provider}
    if path is not None and directory is None:
        target_path = Path(path)
    elif directory is not None and path is None:
        file = await transport.call(RETRIEVE_FILE, {"file_id": file_id}, query=where, **options)
        target_path = Path(directory, base_name(file.filename))
    else:
        msg = "pass either path or directory"
        raise InvalidRequestError(msg)
    target = Target(target_path, overwrite=overwrite, progress=progress)
    await target.check()
    return await transport.call(
        DOWNLOAD_FILE,
        {"file_id": file_id},
        query=where,
        headers=_RAW,
        parse=target.receive,
        **options,
    )
