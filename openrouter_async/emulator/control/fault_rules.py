"""Fault rules: which requests fail, how, and how many have."""

import difflib
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import define, field, frozen, validators

from ...operations import find_operations

__all__ = ["Fault", "FaultRules", "parse_rules"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})
_RESPONSE_FIELDS = ("headers", "retry_after", "message", "body")
_MAX_DELAY = 3600


def _one_of(*types: type) -> Any:  # noqa: ANN401 - what attrs takes as a validator
    """Validate that a value has one of these types; a bool does not count as an int."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if type(value) not in types:
            names = " or ".join(kind.__name__ for kind in types)
            msg = f"{attribute.name}: must be {names}, not {value!r:.100}"
            raise ValueError(msg)

    return check


def _from(low: float, high: float = float("inf")) -> Any:  # noqa: ANN401
    return validators.and_(validators.ge(low), validators.le(high))


def _optional(*checks: Any) -> Any:  # noqa: ANN401
    return validators.optional(validators.and_(*checks))


def _check_operation(_: object, __: object, value: object) -> None:
    if not isinstance(value, str) or value not in {"*", *find_operations()}:
        msg = (
            f"operation: must be * or one of {', '.join(sorted(find_operations()))},"
            f" not {value!r:.100}"
        )
        raise ValueError(msg)


def _check_headers(_: object, __: object, value: object) -> None:
    if not isinstance(value, Mapping):
        msg = f"headers: must be an object of names and values, not {value!r:.100}"
        raise ValueError(msg)  # noqa: TRY004 - every invalid rule raises the same error
    for name, text in value.items():
        if not isinstance(name, str):
            msg = f"headers: a name must be a string, not {name!r:.100}"
            raise ValueError(msg)  # noqa: TRY004
        if name.lower() in _FRAMING:
            msg = f"headers: {name} belongs to the connection; use truncate or close"
            raise ValueError(msg)
        if not _TOKEN.fullmatch(name) or not _is_field_value(text):
            msg = f"headers: HTTP cannot carry {name!r:.100}: {text!r:.100}"
            raise ValueError(msg)


def _check_retry_after(_: object, __: object, value: object) -> None:
    if not _is_field_value(str(value)):
        msg = f"retry_after: HTTP cannot carry {value!r:.100}"
        raise ValueError(msg)


def _check_close(_: object, __: object, value: object) -> None:
    if value != "before_headers":
        msg = f"close: must be before_headers, not {value!r:.100}"
        raise ValueError(msg)


def _is_field_value(text: object) -> bool:
    return isinstance(text, str) and _FIELD_VALUE.fullmatch(text) is not None


@frozen(kw_only=True)
class Fault:
    """A rule that makes matching requests fail.

    Example:
        ```python
        from openrouter_async.emulator import Fault, run_emulator

        with run_emulator() as emulator:
            emulator.faults(Fault(operation="list_files", status=429, retry_after=0, times=2))
        ```

    Raises:
        ValueError: The rule is invalid; the message says why.
    """

    operation: str = field(default="*", validator=_check_operation)
    """An operation such as ``upload_file``; ``*`` is any."""
    times: int | None = field(default=1, validator=_optional(_one_of(int), _from(1)))
    """Number of requests that fail; None for no limit."""
    skip: int = field(default=0, validator=[_one_of(int), _from(0)])
    """Number of matching requests that pass first."""
    probability: float = field(default=1.0, validator=[_one_of(int, float), _from(0, 1)])
    """Probability that a matching request fails."""
    seed: int | None = field(default=None, validator=_optional(_one_of(int)))
    """Seed for ``probability``: the same requests fail each time."""
    early: bool = field(default=False, validator=_one_of(bool))
    """Whether the fault is applied before the request's body is read; otherwise after."""
    delay: float = field(default=0, validator=[_one_of(int, float), _from(0, _MAX_DELAY)])
    """Seconds to wait before the response, or if ``early`` before the body is read."""
    status: int | None = field(default=None, validator=_optional(_one_of(int), _from(200, 599)))
    """Status of the response; the operation is not performed."""
    headers: Mapping[str, str] = field(factory=dict, validator=_check_headers)
    """Headers of that response."""
    retry_after: str | float | None = field(
        default=None, validator=_optional(_one_of(str, int, float), _check_retry_after)
    )
    """Its ``Retry-After``: seconds, a date, or any invalid text."""
    message: str | None = field(default=None, validator=_optional(_one_of(str)))
    """Its error message; the documented example if omitted."""
    body: str | None = field(default=None, validator=_optional(_one_of(str)))
    """Its whole body, instead of the documented envelope."""
    close: str | None = field(default=None, validator=_optional(_check_close))
    """``before_headers``: close the connection instead of performing the operation."""
    close_after_bytes: int | None = field(default=None, validator=_optional(_one_of(int), _from(0)))
    """Reset the connection after this many bytes of the request's body, or all of it."""
    truncate: int | None = field(default=None, validator=_optional(_one_of(int), _from(0)))
    """Close the connection after this many bytes of the response's body."""
    drop_answer: bool = field(default=False, validator=_one_of(bool))
    """Perform the operation, then close the connection without a response."""
    repeat_cursor: bool = field(default=False, validator=_one_of(bool))
    """Return the first page and its cursor for every ``list_files`` request."""

    def __attrs_post_init__(self) -> None:
        """Refuse combinations that contradict each other."""
        endings = self.close, self.close_after_bytes, self.status
        if sum(ending is not None for ending in endings) > 1:
            msg = "close, close_after_bytes and status exclude each other"
            raise ValueError(msg)
        if self.status is None and any(self._is_set(name) for name in _RESPONSE_FIELDS):
            msg = f"{', '.join(_RESPONSE_FIELDS)} need a status"
            raise ValueError(msg)
        if self.repeat_cursor and self.operation not in {"*", "list_files"}:
            msg = f"repeat_cursor: {self.operation} has no cursor"
            raise ValueError(msg)
        if not any(self._is_set(name) for name in _ACTIONS):
            msg = f"the rule does nothing; give it one of {', '.join(_ACTIONS)}"
            raise ValueError(msg)

    @classmethod
    def from_json(cls, rule: object) -> "Fault":
        """Return the rule with these fields."""
        if not isinstance(rule, Mapping):
            msg = f"must be a Fault or an object of its fields, not {rule!r:.100}"
            if isinstance(rule, Sequence) and not isinstance(rule, str | bytes):
                msg += "; pass each rule as an argument of its own: faults(*rules)"
            raise ValueError(msg)  # noqa: TRY004 - every invalid rule raises the same error
        names = [a.name for a in attrs.fields(cls)]
        unknown = [name for name in rule if name not in names]
        if unknown:
            close = difflib.get_close_matches(str(unknown[0]), names, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            msg = f"no such field: {', '.join(map(str, unknown))!s:.100}; {hint}"
            raise ValueError(msg)
        return cls(**rule)

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON, without fields that have their default."""
        return {
            a.name: getattr(self, a.name)
            for a in attrs.fields(type(self))
            if a.name == "operation" or self._is_set(a.name)
        }

    def _is_set(self, name: str) -> bool:
        return bool(getattr(self, name) != _DEFAULTS[name])


def parse_rules(rules: Iterable[object]) -> list[Fault]:
    """Return the rules, each of which is a `Fault` or its fields.

    Raises:
        ValueError: A rule is invalid; the message says which and why.
    """
    faults = []
    for number, rule in enumerate(rules):
        try:
            faults.append(rule if isinstance(rule, Fault) else Fault.from_json(rule))
        except ValueError as error:
            msg = f"rules[{number}]: {error.args[0]}"
            raise ValueError(msg) from None
    return faults


_DEFAULTS: dict[str, Any] = {
    a.name: {} if a.name == "headers" else a.default for a in attrs.fields(Fault)
}
_ACTIONS = (
    "delay",
    "status",
    "close",
    "close_after_bytes",
    "truncate",
    "drop_answer",
    "repeat_cursor",
)


@define
class _CountedRule:
    fault: Fault
    random: random.Random
    seen: int = 0
    met: int = 0

    def applies(self) -> bool:
        """Count a request of the rule's operation; return whether the rule applies to it."""
        self.seen += 1
        exhausted = self.fault.times is not None and self.met >= self.fault.times
        if exhausted or self.seen <= self.fault.skip:
            return False
        if self.random.random() >= self.fault.probability:
            return False
        self.met += 1
        return True


class FaultRules:
    """The active rules in their order; at most one applies to a request."""

    def __init__(self) -> None:
        self._rules: list[_CountedRule] = []

    def replace(self, faults: Iterable[Fault]) -> None:
        """Replace all rules and restart their counts."""
        self._rules = []
        self.add(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Add rules behind the active ones, which keep their counts."""
        self._rules += [_CountedRule(fault, random.Random(fault.seed)) for fault in faults]

    def remove(self, number: int) -> None:
        """Remove the rule with this number, counted from 0; none if there is no such rule."""
        del self._rules[number : number + 1]

    def match(self, operation: str | None) -> Fault | None:
        """Return the rule that applies to a request that has just arrived."""
        for rule in self._rules:
            if rule.fault.operation in {"*", operation} and rule.applies():
                return rule.fault
        return None

    def status(self) -> list[dict[str, Any]]:
        """Return each rule with the number of requests it has ``seen`` and ``met``."""
        return [{**r.fault.to_json(), "seen": r.seen, "met": r.met} for r in self._rules]
