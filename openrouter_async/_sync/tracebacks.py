"""Tracebacks that leave the sync client, without the frames below the public call.

An error of a call comes from another thread, through the event loop, the retries and the
connection: some twenty frames, which say nothing that the error does not. Frames of the caller's
own (a callback, an iterator, a file object) are kept.
"""

from types import FrameType, TracebackType
from typing import Final

__all__ = ["cut_internal_frames"]

_INTERNAL: Final = frozenset(
    {"openrouter_async", "asyncio", "concurrent", "threading", "anyio", "httpx", "httpcore"}
)


def cut_internal_frames(error: BaseException) -> None:
    """Cut internal frames from the tracebacks of an error, of its causes and of its group."""
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        error_or_none = todo.pop()
        if error_or_none is None or id(error_or_none) in seen:
            continue
        error = error_or_none
        seen.add(id(error))
        error.__traceback__ = _without_internal(error.__traceback__)
        todo += [error.__cause__, error.__context__]
        if isinstance(error, BaseExceptionGroup):
            todo += error.exceptions


def _without_internal(traceback: TracebackType | None) -> TracebackType | None:
    entries = []
    while traceback is not None:
        if not _is_internal(traceback.tb_frame):
            entries.append(traceback)
        traceback = traceback.tb_next
    for entry in reversed(entries):
        traceback = TracebackType(traceback, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return traceback


def _is_internal(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _INTERNAL
