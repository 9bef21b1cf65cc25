"""Decode JSON responses into models.

Wrong types are rejected rather than coerced; unknown fields are kept in ``extra``. Responses are
decoded without tracking the field's path; if that fails, a second, detailed pass finds it. cattrs
is imported only here and in `fast_decode`.
"""

import functools
import json
import math
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar, Union, cast, get_origin

import attrs

from .. import models
from .._secret import SecretStr
from .fast_decode import ModelHook, parts_of, sequence_hook
from .shapes import Hook, parse_time, strict, strict_true

if TYPE_CHECKING:  # cattrs is slow to import, and not needed before the first response
    import cattrs

__all__ = [
    "NOT_JSON",
    "DecodeError",
    "decode",
    "loads",
    "loads_stdlib",
    "prepare",
]

T = TypeVar("T")


NOT_JSON: Final = "not JSON"
"""Message of the `DecodeError` for such a body."""


class DecodeError(ValueError):
    """The response does not have the documented form; ``path`` names the field."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def prepare() -> None:
    """Import what decoding needs, which takes time and file descriptors."""
    _converter(detailed=False)


def decode(body: bytes, returns: type[T], *, unwrap: bool = False) -> T:
    """Return a response's body, or just its ``data`` if ``unwrap``, as an instance of ``returns``.

    Raises:
        DecodeError: The body is not JSON, or does not have that form.
    """
    payload = _parse(body)
    if isinstance(payload, dict) and payload.get("error"):
        msg = "an error object in a response with a success status"
        raise DecodeError(msg, "error")
    if unwrap:
        if not isinstance(payload, dict) or "data" not in payload:
            msg = "required field missing"
            raise DecodeError(msg, "data")
        payload = payload["data"]
    if not attrs.has(returns):
        return _untyped(payload, returns)
    try:
        return cast("T", _hook(returns)(payload, returns))
    except Exception:  # noqa: BLE001 - the detailed pass finds the reason
        raise _explain(payload, returns, "data" if unwrap else "") from None


@functools.cache
def _hook(returns: type[Any]) -> Hook:
    return _converter(detailed=False).get_structure_hook(returns)


def _parse(body: bytes) -> Any:  # noqa: ANN401
    try:
        return loads(body)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else NOT_JSON
        raise DecodeError(reason if body else "empty") from None


def _reject_constant(name: str) -> NoReturn:
    msg = f"not a JSON number: {name}"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _reject_constant(text)
    return number


_JSON = json.JSONDecoder(parse_constant=_reject_constant, parse_float=_finite)


def loads_stdlib(body: bytes) -> Any:  # noqa: ANN401
    """Parse JSON in UTF-8 (RFC 8259, 8.1); a byte order mark is skipped."""
    return _JSON.decode(body.removeprefix(BOM_UTF8).decode())


loads: Callable[[bytes], Any] = loads_stdlib
"""Parses JSON; with and without orjson the values are the same."""

try:  # the extra ``speed``
    import orjson
except ImportError:
    pass
else:
    _DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")

    def _loads_orjson(body: bytes) -> Any:  # noqa: ANN401
        """Parse JSON as `loads_stdlib` does, faster."""
        # orjson reads integers of more than 64 bits, which have 19 digits or more, as floats. Any
        # 19 digits in a row have at least 4 among every fourth byte.
        if b"0000" in body[::4].translate(_DIGITS_TO_ZERO):
            return loads_stdlib(body)
        try:
            return orjson.loads(body)
        except ValueError:
            return loads_stdlib(body)  # orjson rejects escaped lone surrogates, which are JSON

    loads = _loads_orjson


def _untyped(payload: object, returns: type[T]) -> T:
    if not isinstance(payload, get_origin(returns) or returns):
        msg = f"expected {returns.__name__}, got {type(payload).__name__}"
        raise DecodeError(msg)
    return cast("T", payload)


def _explain(payload: object, returns: type[Any], prefix: str) -> DecodeError:
    import cattrs

    try:
        _converter(detailed=True).structure(payload, returns)
    except Exception as error:  # noqa: BLE001 - cattrs raises groups and hooks raise anything
        text = cattrs.transform_error(error, path="$", format_exception=_format)[0]
        reason, _, path = text.rpartition(" @ $")
        return DecodeError(reason, f"{prefix}{path}".lstrip("."))
    return DecodeError("not of the documented form", prefix)


def _format(error: BaseException, _type: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    return str(error)


@functools.cache
def _converter(*, detailed: bool) -> "cattrs.Converter":
    import cattrs

    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook(str, strict(str))
    converter.register_structure_hook(int, strict(int))
    converter.register_structure_hook(float, strict(float, int))
    converter.register_structure_hook(bool, strict(bool))
    converter.register_structure_hook(datetime, parse_time)
    text = strict(str)
    converter.register_structure_hook(SecretStr, lambda value, _: SecretStr(text(value, _)))
    converter.register_structure_hook_func(lambda kind: kind == Literal[True], strict_true)
    converter.register_structure_hook_factory(
        lambda kind: cast("object", get_origin(kind)) is Union and str in parts_of(kind),
        lambda kind: strict(*parts_of(kind)),
    )
    converter.register_structure_hook_factory(
        lambda kind: cast("object", get_origin(kind)) is Sequence,
        lambda kind: sequence_hook(kind, converter),
    )
    converter.register_structure_hook_factory(
        lambda kind: isinstance(kind, type) and issubclass(kind, models.Model),
        lambda kind: ModelHook(kind, converter),
    )
    return converter
