"""TODO openrouter_async._core.shapes."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from .. import models

if TYPE_CHECKING:  # cattrs takes long to import, and only the first response needs it
    pass

Hook = Callable[[Any, Any], Any]

EXTRA_KEY = "<extra>"  # a key that no service sends

RENAMED_FIELDS = {"shape": "_shape", "extra": EXTRA_KEY}


def strict(expected: type, *also: type) -> Hook:
    """A hook that takes instances of ``expected`` as they are and refuses all else."""

    def structure(value: Any, _: Any) -> Any:  # noqa: ANN401
        kind = type(value)  # not isinstance: a bool is no int
        if kind is expected or kind in also:
            return value
        msg = f"expected {expected.__name__}, got {kind.__name__}"
        raise ValueError(msg)

    return structure


def parse_time(value: Any, _: Any) -> datetime:  # noqa: ANN401
    """ISO 8601, or epoch seconds as OpenAI's shape has them."""
    if type(value) is int:
        return datetime.fromtimestamp(value, UTC)
    if type(value) is not str:
        msg = f"expected a time, got {type(value).__name__}"
        raise ValueError(msg)
    time = datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def strict_true(value: Any, _: Any) -> Literal[True]:  # noqa: ANN401
    if value is not True:
        msg = f"expected true, got {value!r:.40}"
        raise ValueError(msg)
    return True


def _reshape_file(payload: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's words for what the other shapes call otherwise."""
    if "size_bytes" in payload or "bytes" not in payload:
        return payload
    reshaped = {k: v for k, v in payload.items() if k not in {"bytes", "object"}}
    return {**reshaped, "size_bytes": payload["bytes"], "type": payload.get("object", "file")}


def _reshape_page(payload: dict[str, Any]) -> dict[str, Any]:
    """A page of before ``_shape`` shows its shape by what else it has."""
    if "_shape" in payload or "cursor" in payload:
        return payload
    if payload.get("object") == "list":
        return {**payload, "_shape": "openai"}
    return {**payload, "_shape": "anthropic"}


def _reshape_deletion(payload: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's ``deleted: true`` says the same as ``type: file_deleted``."""
    if payload.get("deleted") is not True or payload.get("object") != "file":
        return payload
    rest = {k: v for k, v in payload.items() if k not in {"deleted", "object"}}
    return {**rest, "type": "file_deleted"}


RESHAPERS: Mapping[type, Callable[[dict[str, Any]], dict[str, Any]]] = {
    models.FileMetadata: _reshape_file,
    models.FilePage: _reshape_page,
    models.FileDeleteResponse: _reshape_deletion,
}
