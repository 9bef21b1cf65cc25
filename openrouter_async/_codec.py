"""Bytes to models, and the only door to cattrs.

Wrong types are refused rather than coerced, unknown fields are kept in ``extra``. The hot path
decodes without bookkeeping; when it fails, a second, detailed decoding finds the field's path.
"""

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar, cast, get_args, get_origin

import attrs

from . import models

if TYPE_CHECKING:  # cattrs takes long to import, and only the first answer needs it
    import cattrs

__all__ = ["DecodeError", "decode", "prepare"]

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]
_Maker = Callable[[Iterable[Any], list[Any]], None]

_EXTRA = "<extra>"  # a key that no service sends
_PLAIN = {str, int, float, bool, NoneType}
_MAX_MAKERS = 16
_RENAMED = {"shape": "_shape", "extra": _EXTRA}


class DecodeError(ValueError):
    """The answer is not what was promised; ``path`` names the field."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


def prepare() -> None:
    """Import what decoding needs, which takes a while and free descriptors."""
    _converter(detailed=False)


def decode(body: bytes, returns: type[T], *, unwrap: bool = False) -> T:
    """Read an answer's body as ``returns``; its ``data`` alone if ``unwrap``.

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


def _strict(expected: type, *also: type) -> Hook:
    """A hook that takes instances of ``expected`` as they are and refuses all else."""

    def structure(value: Any, _: Any) -> Any:  # noqa: ANN401
        kind = type(value)  # not isinstance: a bool is no int
        if kind is expected or kind in also:
            return value
        msg = f"expected {expected.__name__}, got {kind.__name__}"
        raise ValueError(msg)

    return structure


def _time(value: Any, _: Any) -> datetime:  # noqa: ANN401
    """ISO 8601, or epoch seconds as OpenAI's shape has them."""
    if type(value) is int:
        return datetime.fromtimestamp(value, UTC)
    if type(value) is not str:
        msg = f"expected a time, got {type(value).__name__}"
        raise ValueError(msg)
    time = datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _true(value: Any, _: Any) -> Literal[True]:  # noqa: ANN401
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


_RESHAPE: Mapping[type, Callable[[dict[str, Any]], dict[str, Any]]] = {
    models.FileMetadata: _reshape_file,
    models.FilePage: _reshape_page,
    models.FileDeleteResponse: _reshape_deletion,
}


class _ModelHook:
    """Structures a model from an object, its unknown fields going into ``extra``."""

    def __init__(self, cls: type[Any], converter: "cattrs.Converter") -> None:
        from cattrs.gen import make_dict_structure_fn, override

        self._cls = cls
        self._converter = converter
        self._known = {_RENAMED.get(f.name, f.name) for f in attrs.fields(cls)} - {_EXTRA}
        self._reshape = _RESHAPE.get(cls)
        self._structure = make_dict_structure_fn(
            cls,
            converter,
            _cattrs_detailed_validation=converter.detailed_validation,
            shape=override(rename="_shape"),
            extra=override(rename=_EXTRA, struct_hook=lambda value, _: value),
        )
        self._makers: dict[tuple[str, ...], _Maker] = {}

    def __call__(self, payload: Any, _: Any) -> Any:  # noqa: ANN401
        if type(payload) is not dict:
            msg = f"expected an object, got {type(payload).__name__}"
            raise ValueError(msg)
        make = self._makers.get(tuple(payload))
        if make:
            made: list[Any] = []
            make((payload,), made)
            if made:
                return made[0]
        if self._reshape:
            payload = self._reshape(payload)
        unknown = {k: v for k, v in payload.items() if k not in self._known}
        model = self._structure({**payload, _EXTRA: unknown} if unknown else payload, self._cls)
        if not (make or unknown or self._converter.detailed_validation):
            self._learn(tuple(payload))
        return model

    def rows(self, payload: Sequence[Any]) -> list[Any]:
        """As many models as objects: those with the keys of the one before by the same maker."""
        models: list[Any] = []
        while len(models) < len(payload):
            row = payload[len(models)]
            models.append(self(row, self._cls))
            if make := self._makers.get(tuple(row)):
                make(islice(payload, len(models), None), models)
        return models

    def _learn(self, keys: tuple[str, ...]) -> None:
        if keys and len(self._makers) < _MAX_MAKERS:
            self._makers[keys] = _compile(self._cls, keys, self._converter)


def _mutable(cls: type[Any]) -> type[Any]:
    """A class of the same layout whose instances can be filled, and then be made ``cls``'s.

    attrs' ``__init__`` of a frozen class calls ``object.__setattr__`` for each field, which
    takes longer than all else that is done for a row.
    """
    body = {
        "__slots__": cls.__dict__["__slots__"],
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
    }
    return type(cls.__name__, (cast("type[Any]", cls.__base__),), body)


def _compile(cls: type[Any], keys: tuple[str, ...], converter: "cattrs.Converter") -> _Maker:
    """A function that makes models of objects with just these keys, up to one that is unlike.

    As cattrs does, it is compiled from source, but with the types of strings and numbers
    compared in place: the call of a hook for each of them takes longer than all the rest.
    """
    names: dict[str, Any] = {"cls": cls, "mutable": _mutable(cls), "NoneType": NoneType}
    names |= {"new": object.__new__, "time_of": _time, "iso": datetime.fromisoformat}
    takes, tests, values = [], [f"len(o) == {len(keys)}"], {}
    for number, field in enumerate(attrs.fields(cls)):
        key, kind, value = _RENAMED.get(field.name, field.name), field.type, f"v{number}"
        parts = get_args(kind) if isinstance(kind, UnionType) else (kind,)
        if key in keys:
            takes.append(f"{value} = o[{key!r}]")
        if key not in keys:
            names[value] = field.default
        elif all(part in _PLAIN for part in parts):
            allowed = {*parts, int} if float in parts else parts
            tests.append("(" + " or ".join(f"type({value}) is {t.__name__}" for t in allowed) + ")")
        elif kind is datetime:
            plainly = f"type({value}) is str and (t := iso({value})).tzinfo"
            value = f"(t if {plainly} else time_of({value}, 0))"
        else:
            names |= {f"hook{number}": converter.get_structure_hook(kind), f"kind{number}": kind}
            value = f"hook{number}({value}, kind{number})"
        values[field.name] = value
    lines = (
        "def make(objects, models):",
        "  for o in objects:",
        "    if type(o) is not dict: return",
        f"    try: {'; '.join(takes)}",
        "    except KeyError: return",
        f"    if not ({' and '.join(tests)}): return",
        "    m = new(mutable)",
        *(f"    m.{name} = {value}" for name, value in values.items()),
        "    m.__class__ = cls",
        "    models.append(m)",
    )
    exec("\n".join(lines), names)  # noqa: S102 - made of our own models' names alone
    return cast("_Maker", names["make"])


def _sequence_hook(kind: Any, converter: "cattrs.Converter") -> Hook:  # noqa: ANN401
    """Structure a tuple from an array, and from nothing else: a string is a sequence too."""
    (row,) = get_args(kind)
    structure_row = converter.get_structure_hook(row)

    def hook(payload: Any, _: Any) -> Any:  # noqa: ANN401
        if type(payload) is not list:
            msg = f"expected an array, got {type(payload).__name__}"
            raise ValueError(msg)
        if converter.detailed_validation:
            return converter.structure(payload, cast("Any", tuple)[row, ...])
        if isinstance(structure_row, _ModelHook):
            return tuple(structure_row.rows(payload))
        return tuple([structure_row(value, row) for value in payload])

    return hook


@functools.cache
def _converter(*, detailed: bool) -> "cattrs.Converter":
    import cattrs

    converter = cattrs.Converter(detailed_validation=detailed)
    converter.register_structure_hook(str, _strict(str))
    converter.register_structure_hook(int, _strict(int))
    converter.register_structure_hook(float, _strict(float, int))
    converter.register_structure_hook(bool, _strict(bool))
    converter.register_structure_hook(datetime, _time)
    converter.register_structure_hook_func(lambda kind: kind == Literal[True], _true)
    converter.register_structure_hook_factory(
        lambda kind: cast("object", get_origin(kind)) is Sequence,
        lambda kind: _sequence_hook(kind, converter),
    )
    converter.register_structure_hook_factory(
        lambda kind: isinstance(kind, type) and issubclass(kind, models.Model),
        lambda kind: _ModelHook(kind, converter),
    )
    return converter
