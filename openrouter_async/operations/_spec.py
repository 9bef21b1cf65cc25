"""Files that describe workspaces: what may stand in them, and where what is wrong stands.

`tomllib` keeps no positions. So the line of a setting is found by parsing longer and longer
beginnings of the text, until one has the setting: only when there is an error to report.
"""

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Final, NoReturn, get_args

from attrs import Factory, define, frozen

from .._core.options import CallOptions
from ..errors import InvalidRequestError
from ..models import BudgetInterval, LimitReset
from . import keys, workspaces
from ._settings import Rules, check_dollars
from .budgets import check_order

__all__ = ["BYOK", "KEY_SETTINGS", "SETTINGS", "Source", "WorkspaceSpec", "parse", "to_toml"]

SETTINGS: Final = (
    "name",
    *sorted({*workspaces.WorkspaceSettings.__annotations__} - {*CallOptions.__annotations__}),
)
BYOK: Final = "include_byok_in_budgets"
KEY_SETTINGS: Final = ("limit", "limit_reset", "include_byok_in_limit", "disabled")
_SECTIONS: Final = ("budgets", "clear", "include_byok_in_budgets", "keys", "members")
_INTERVALS: Final[tuple[str, ...]] = get_args(BudgetInterval)

_FLAG: Final = (lambda value: isinstance(value, bool), "true or false")
_TEXT: Final = (lambda value: isinstance(value, str), "a string")
_RULES: Final[Rules] = {
    **{name: _TEXT if name.startswith("default_") else _FLAG for name in SETTINGS},
    **workspaces.RULES,
}
_KEY_RULES: Final[Rules] = {
    **keys.RULES,
    "limit_reset": (
        lambda value: value in get_args(LimitReset),
        "daily, weekly or monthly",
    ),
}

Path_ = tuple[str, ...]


@define
class WorkspaceSpec:
    """What a file says of one workspace; what it does not mention stays as it is."""

    slug: str
    settings: dict[str, Any] = Factory(dict)
    budgets: dict[Any, float | Decimal] = Factory(dict)
    include_byok_in_budgets: bool | None = None
    members: Sequence[str] = ()
    """User ids or e-mail addresses."""
    keys: dict[str, dict[str, Any]] = Factory(dict)
    """Settings by the keys' names."""


@frozen
class Source:
    """Where a description was read from, so that an error can name its line."""

    name: str = ""
    text: str = ""

    def fail(self, path: Path_, problem: str) -> NoReturn:
        """Raise the error for what stands at a path of keys."""
        where = ".".join(f"{part!s:.100}" for part in path)
        if self.text:
            where = f"{self.name}, line {self._line(path)}: {where}"
        msg = f"{where}: {problem}"
        raise InvalidRequestError(msg)

    def _line(self, path: Path_) -> int:
        lines = self.text.splitlines()
        start = 1
        for number in range(1, len(lines) + 1):
            try:
                found: Any = tomllib.loads("\n".join(lines[:number]))
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value of several lines
            if _has(found, path):
                return start
            start = number + 1
        return start


def _has(document: Any, path: Path_) -> bool:  # noqa: ANN401
    for key in path:
        if not isinstance(document, Mapping) or key not in document:
            return False
        document = document[key]
    return True


def parse(spec: Mapping[str, Any] | str | PathLike[str]) -> tuple[list[WorkspaceSpec], Source]:
    """Read a description from a file, or from a mapping of the same form.

    Raises:
        InvalidRequestError: Something in it is wrong; the message names its line.
    """
    source = Source()
    if not isinstance(spec, Mapping):
        try:
            source = Source(fspath(spec), Path(spec).read_text("utf-8"))
            spec = tomllib.loads(source.text)
        except OSError as error:
            msg = f"cannot read {str(spec)!r:.100}: {error.strerror}"
            raise InvalidRequestError(msg) from None
        except ValueError as error:  # not UTF-8, or not TOML
            last = f"at line {len(source.text.splitlines())}, the last"
            reason = str(error).replace("at end of document", last)
            msg = f"{source.name or str(spec):.500}: {reason}"
            raise InvalidRequestError(msg) from None
    _known(source, (), spec, ("workspaces",))
    table = _table(source, (), spec, "workspaces")
    return [
        _workspace(source, slug, _table(source, ("workspaces",), table, slug)) for slug in table
    ], source


def _workspace(source: Source, slug: str, given: Mapping[str, Any]) -> WorkspaceSpec:
    path = ("workspaces", slug)
    if not workspaces.RULES["slug"][0](slug):
        source.fail(path, f"a slug is {workspaces.RULES['slug'][1]}")
    _known(source, path, given, (*SETTINGS, *_SECTIONS))
    found = WorkspaceSpec(slug, _settings(source, path, given, _RULES, SETTINGS))
    for interval, limit in _table(source, path, given, "budgets").items():
        at = (*path, "budgets", interval)
        _known(source, at[:-1], {interval: limit}, _INTERVALS)
        _checked(source, at, check_dollars, limit, "the limit")
        found.budgets[interval] = limit
    _checked(source, (*path, "budgets"), check_order, {}, found.budgets)
    found.include_byok_in_budgets = given.get("include_byok_in_budgets")
    if found.include_byok_in_budgets not in {None, True, False} or (
        found.include_byok_in_budgets is not None and not found.budgets
    ):
        source.fail((*path, "include_byok_in_budgets"), "must be true or false, beside budgets")
    members = given.get("members", [])
    if not isinstance(members, list | tuple) or not all(isinstance(m, str) and m for m in members):
        source.fail((*path, "members"), "must be a list of user ids and e-mail addresses")
    if slug == "default" and members:
        source.fail((*path, "members"), "all members of the organisation are in this workspace")
    found.members = tuple(dict.fromkeys(members))
    table = _table(source, path, given, "keys")
    for name in table:
        at = (*path, "keys", name)
        settings = _table(source, at[:-1], table, name)
        _known(source, at, settings, (*KEY_SETTINGS, "clear"))
        found.keys[name] = _settings(source, at, settings, _KEY_RULES, KEY_SETTINGS)
    return found


def _settings(
    source: Source, path: Path_, given: Mapping[str, Any], rules: Rules, names: Sequence[str]
) -> dict[str, Any]:
    """Return the settings among the given; those in ``clear`` as None."""
    cleared = given.get("clear", [])
    if not isinstance(cleared, list | tuple) or not all(isinstance(name, str) for name in cleared):
        source.fail((*path, "clear"), "must be a list of names of settings")
    _known(source, (*path, "clear"), dict.fromkeys(cleared), names)
    settings = {name: given[name] for name in names if name in given}
    for name, value in settings.items():
        if name in cleared:
            source.fail((*path, name), "is cleared, too")
        if not rules[name][0](value):
            source.fail((*path, name), f"must be {rules[name][1]}, not {value!r:.100}")
    return {**settings, **dict.fromkeys(cleared)}


def _known(source: Source, path: Path_, given: Iterable[str], names: Sequence[str]) -> None:
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(sorted(names))}"
            at = path if path[-1:] == ("clear",) else (*path, name)
            source.fail(at, f"unknown setting {name!r:.100}; {hint}")


def _table(source: Source, path: Path_, given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = given.get(name, {})
    if not isinstance(found, Mapping):
        source.fail((*path, name), f"must be a table, not {found!r:.100}")
    return found


def _checked(source: Source, path: Path_, check: Any, *arguments: object) -> None:  # noqa: ANN401
    try:
        check(*arguments)
    except InvalidRequestError as error:
        problem = str(error)
    else:
        return
    source.fail(path, problem)


def to_toml(found: Iterable[WorkspaceSpec], notes: Mapping[str, Sequence[str]]) -> str:
    """Return a file that describes the workspaces; each slug's ``notes`` become comments."""
    lines: list[str] = []
    for each in found:
        lines += [f"# {note}" for note in notes.get(each.slug, ())]
        is_bare = workspaces.RULES["slug"][0](each.slug)
        table = f"workspaces.{each.slug if is_bare else _value(each.slug)}"
        lines += [f"[{table}]", *_lines(each.settings)]
        if each.include_byok_in_budgets is not None:
            lines += _lines({"include_byok_in_budgets": each.include_byok_in_budgets})
        if each.members:
            lines += ["members = [", *(f"    {_value(member)}," for member in each.members), "]"]
        if each.budgets:
            lines += ["", f"[{table}.budgets]", *_lines(each.budgets)]
        for name, settings in each.keys.items():
            lines += ["", f"[{table}.keys.{_value(name)}]", *_lines(settings)]
        lines.append("")
    return "\n".join(lines)


def _lines(settings: Mapping[str, Any]) -> list[str]:
    return [
        f"{name if name.isidentifier() else _value(name)} = {_value(value)}"
        for name, value in settings.items()
        if value is not None
    ]


def _value(value: object) -> str:
    """Return a value as TOML has it, which for these is JSON, with what does not print escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004
