"""Bytes to models, and the only door to cattrs.

Wrong types are refused rather than coerced, unknown fields are kept in ``extra``. The hot path
decodes without bookkeeping; when it fails, a second, detailed decoding finds the field's path.
"""

import functools
import json
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast, get_origin

import attrs

from .. import models
from .fast_decode import ModelHook, sequence_hook
from .shapes import parse_time, strict, strict_true

if TYPE_CHECKING:  # cattrs takes long to import, and only the first response needs it
    import cattrs

__all__ = [
    "DecodeError",
    "decode",
    "prepare",
]

T = TypeVar("T")


class DecodeError(ValueError):
    """The response is not what was promised; ``path`` names the field."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def prepare() -> None:
    """Import what decoding needs, which takes a while and free descriptors."""
    _converter(detailed=False)


def decode(body: bytes, returns: type[T], *, unwrap: bool = False) -> T:
    """Read a response's body as ``returns``; its ``data`` alone if ``unwrap``.

    Raises:
        DecodeError: It is not JSON, or not of that form.
    """
    payload = _parse(body)
    if isinstance(payload, dict) and payload.get("error"):
        msg = "an error with the status of a success"
        raise DecodeError(msg, "error")
    if unwrap:
        if not isinstance(payload, dict) or "data" not in payload:
            msg = "required field missing"
            raise DecodeError(msg, "data")
        payload = payload["data"]
    if not attrs.has(returns):
        return _untyped(payload, returns)
    try:
        return cast("T", _converter(detailed=False).structure(payload, returns))
    except Exception:  # noqa: BLE001 - whatever it was, the detailed decoding names it
        raise _explain(payload, returns, "data" if unwrap else "") from None


def _parse(body: bytes) -> Any:  # noqa: ANN401
    try:
        return _loads(body)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else "not JSON"
        raise DecodeError(reason if body else "empty") from None


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is no number of JSON's"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse_constant(text)
    return number


_JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _loads_plainly(body: bytes) -> Any:  # noqa: ANN401
    return _JSON.decode(body.decode())


_loads: Callable[[bytes], Any] = _loads_plainly

try:  # the extra ``speed``
    import orjson
except ImportError:
    pass
else:

    def _loads_quickly(body: bytes) -> Any:  # noqa: ANN401
        try:
            return orjson.loads(body)
        except ValueError:
            return _loads_plainly(body)  # the escape of a lone surrogate is JSON, too

    _loads = _loads_quickly


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
    return DecodeError("not of the promised form", prefix)


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
    converter.register_structure_hook_func(lambda kind: kind == Literal[True], strict_true)
    converter.register_structure_hook_factory(
        lambda kind: cast("object", get_origin(kind)) is Sequence,
        lambda kind: sequence_hook(kind, converter),
    )
    converter.register_structure_hook_factory(
        lambda kind: isinstance(kind, type) and issubclass(kind, models.Model),
        lambda kind: ModelHook(kind, converter),
    )
    return converter
