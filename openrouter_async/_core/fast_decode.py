"""TODO openrouter_async._core.fast_decode."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, cast, get_args

import attrs

from .shapes import EXTRA_KEY, RENAMED_FIELDS, RESHAPERS, Hook, parse_time

if TYPE_CHECKING:  # cattrs takes long to import, and only the first response needs it
    import cattrs

_Maker = Callable[[Iterable[Any], list[Any]], None]

_PLAIN = {str, int, float, bool, NoneType}

_MAX_MAKERS = 16


class ModelHook:
    """Structures a model from an object, its unknown fields going into ``extra``."""

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
        model = self._structure({**payload, EXTRA_KEY: unknown} if unknown else payload, self._cls)
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
    names |= {"new": object.__new__, "time_of": parse_time, "iso": datetime.fromisoformat}
    takes, tests, values = [], [f"len(o) == {len(keys)}"], {}
    for number, field in enumerate(attrs.fields(cls)):
        key, kind, value = RENAMED_FIELDS.get(field.name, field.name), field.type, f"v{number}"
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


def sequence_hook(kind: Any, converter: "cattrs.Converter") -> Hook:  # noqa: ANN401
    """Structure a tuple from an array, and from nothing else: a string is a sequence too."""
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
