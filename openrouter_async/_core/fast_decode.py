"""Compiled decoders for models, used for rows of large pages.

A page may have 1,000 rows. With cattrs alone, most of the time for a row goes into one hook call
for each string and number, and into the call of ``object.__setattr__`` for each field in attrs'
``__init__`` of a frozen class.

So the first object with a given set of keys is decoded by cattrs. If it is valid and has no
unknown fields, a function is compiled for exactly these keys. Like cattrs' own functions it is
generated from source, but it compares the types of strings and numbers inline, and sets the
fields on an instance of a mutable class of the same layout, whose ``__class__`` is then changed
to the model. It decodes rows until one does not fit (other keys or another type); cattrs decodes
that row, or raises the error. The results are the same.

At most 16 decoders are kept for a model, so that a service that keeps sending new keys cannot
fill the memory. The detailed pass, which looks for the reason of an error, compiles none.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, cast, get_args, get_origin

import attrs

from .shapes import EXTRA_KEY, RENAMED_FIELDS, RESHAPERS, Hook, parse_time

if TYPE_CHECKING:  # cattrs is slow to import, and not needed before the first response
    import cattrs

__all__ = ["ModelHook", "parts_of", "sequence_hook"]

_Decoder = Callable[[Iterable[Any], list[Any]], None]
"""Appends a model for each object, and returns at the first that does not fit."""

_SCALARS = {str, int, float, bool, NoneType}

_MAX_DECODERS = 16


class ModelHook:
    """Structure hook for one model; unknown fields go into ``extra``."""

    def __init__(self, cls: type[Any], converter: "cattrs.Converter") -> None:
        from cattrs.gen import make_dict_structure_fn, override

        self._cls = cls
        self._converter = converter
        self._known = {RENAMED_FIELDS.get(f.name, f.name) for f in attrs.fields(cls)} - {EXTRA_KEY}
        self._reshape = RESHAPERS.get(cls)
        self._structure = make_dict_structure_fn(
            cls,
            converter,
            _cattrs_detailed_validation=converter.detailed_validation,
            shape=override(rename="_shape"),
            extra=override(rename=EXTRA_KEY, struct_hook=lambda value, _: value),
        )
        self._decoders: dict[tuple[str, ...], _Decoder] = {}

    def __call__(self, payload: Any, _: Any) -> Any:  # noqa: ANN401
        if type(payload) is not dict:
            msg = f"expected an object, got {type(payload).__name__}"
            raise ValueError(msg)
        decode = self._decoders.get(tuple(payload))
        if decode:
            decoded: list[Any] = []
            decode((payload,), decoded)
            if decoded:
                return decoded[0]
        if self._reshape:
            payload = self._reshape(payload)
        unknown = {k: v for k, v in payload.items() if k not in self._known}
        model = self._structure({**payload, EXTRA_KEY: unknown} if unknown else payload, self._cls)
        if not (decode or unknown or self._converter.detailed_validation):
            self._add_decoder(tuple(payload))
        return model

    def rows(self, payload: Sequence[Any]) -> list[Any]:
        """Decode rows, reusing the compiled decoder while the keys repeat."""
        models: list[Any] = []
        while len(models) < len(payload):
            row = payload[len(models)]
            models.append(self(row, self._cls))
            if decode := self._decoders.get(tuple(row)):
                decode(islice(payload, len(models), None), models)
        return models

    def _add_decoder(self, keys: tuple[str, ...]) -> None:
        if keys and len(self._decoders) < _MAX_DECODERS:
            self._decoders[keys] = _compile(self._cls, keys, self._converter)


def parts_of(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the members of a union; words are any text where ``str`` stands beside them."""
    parts = get_args(kind) if get_origin(kind) in {UnionType, Union} else (kind,)
    return tuple(p for p in parts if get_origin(p) is not Literal) if str in parts else parts


def _mutable(cls: type[Any]) -> type[Any]:
    """Return a mutable class of the same layout, as which an instance of ``cls`` is filled."""
    body = {
        "__slots__": cls.__dict__["__slots__"],
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
    }
    return type(cls.__name__, (cast("type[Any]", cls.__base__),), body)


def _compile(cls: type[Any], keys: tuple[str, ...], converter: "cattrs.Converter") -> _Decoder:
    """Return a decoder for objects with exactly these keys."""
    names: dict[str, Any] = {"cls": cls, "mutable": _mutable(cls), "NoneType": NoneType}
    names |= {"new": object.__new__, "time_of": parse_time, "iso": datetime.fromisoformat}
    reads, tests, values = [], [f"len(o) == {len(keys)}"], {}
    times: list[str] = []
    for number, field in enumerate(attrs.fields(cls)):
        key, kind, value = RENAMED_FIELDS.get(field.name, field.name), field.type, f"v{number}"
        parts = parts_of(kind)
        if key in keys:
            reads.append(f"{value} = o[{key!r}]")
        if key not in keys:
            names[value] = field.default
        elif all(part in _SCALARS for part in parts):
            allowed = {*parts, int} if float in parts else parts
            tests.append("(" + " or ".join(f"type({value}) is {t.__name__}" for t in allowed) + ")")
        elif kind is datetime:
            time = f"t{number}"
            times += (
                f"    try: {time} = iso({value})",
                f"    except (TypeError, ValueError): {time} = time_of({value}, 0)",
            )
            value = f"({time} if {time}.tzinfo else time_of({value}, 0))"
        else:
            names |= {f"hook{number}": converter.get_structure_hook(kind), f"kind{number}": kind}
            value = f"hook{number}({value}, kind{number})"
        values[field.name] = value
    lines = (
        "def decode(objects, models):",
        "  for o in objects:",
        "    if type(o) is not dict: return",
        f"    try: {'; '.join(reads)}",
        "    except KeyError: return",
        f"    if not ({' and '.join(tests)}): return",
        *times,
        "    m = new(mutable)",
        *(f"    m.{name} = {value}" for name, value in values.items()),
        "    m.__class__ = cls",
        "    models.append(m)",
    )
    exec("\n".join(lines), names)  # noqa: S102 - consists of our models' field names only
    return cast("_Decoder", names["decode"])


def sequence_hook(kind: Any, converter: "cattrs.Converter") -> Hook:  # noqa: ANN401
    """Return a structure hook for tuples that accepts arrays only: a string is a sequence too."""
    (row,) = get_args(kind)
    structure_row = converter.get_structure_hook(row)

    def hook(payload: Any, _: Any) -> Any:  # noqa: ANN401
        if type(payload) is not list:
            msg = f"expected an array, got {type(payload).__name__}"
            raise ValueError(msg)
        if converter.detailed_validation:
            return converter.structure(payload, cast("Any", tuple)[row, ...])
        if isinstance(structure_row, ModelHook):
            return tuple(structure_row.rows(payload))
        return tuple([structure_row(value, row) for value in payload])

    return hook
