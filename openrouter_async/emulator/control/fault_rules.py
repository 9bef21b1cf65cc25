"""Faults on demand: rules that say what goes wrong, and the book that counts them."""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from attrs import define, field, frozen, validators

from ...operations import find_operations

__all__ = ["Fault", "FaultBook"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})
_ANSWER_FIELDS = ("headers", "retry_after", "message", "body")
_MAX_DELAY = 3600


def _one_of(*types: type) -> Any:  # noqa: ANN401 - what attrs takes as a validator
    """Of one of these types; a bool is no number."""

    def check(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if type(value) not in types:
            names = " or ".join(kind.__name__ for kind in types)
            msg = f"{attribute.name}: must be {names}, not {value!r}"
            raise ValueError(msg)

    return check


def _from(low: float, high: float = float("inf")) -> Any:  # noqa: ANN401
    return validators.and_(validators.ge(low), validators.le(high))


def _optional(*checks: Any) -> Any:  # noqa: ANN401
    return validators.optional(validators.and_(*checks))


def _check_operation(_: object, __: object, value: object) -> None:
    if not isinstance(value, str) or value not in {"*", *find_operations()}:
        msg = (
            f"operation: must be * or one of {', '.join(sorted(find_operations()))}, not {value!r}"
        )
        raise ValueError(msg)


def _check_headers(_: object, __: object, value: object) -> None:
    if not isinstance(value, Mapping):
        msg = f"headers: must be an object of names and values, not {value!r}"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for all that is wrong with a rule
    for name, text in value.items():
        if name.lower() in _FRAMING:
            msg = f"headers: {name} belongs to the connection; use truncate or close"
            raise ValueError(msg)
        if not _TOKEN.fullmatch(name) or not _carries(text):
            msg = f"headers: HTTP cannot carry {name!r}: {text!r}"
            raise ValueError(msg)


def _check_retry_after(_: object, __: object, value: object) -> None:
    if not _carries(str(value)):
        msg = f"retry_after: HTTP cannot carry {value!r}"
        raise ValueError(msg)


def _carries(text: object) -> bool:
    return isinstance(text, str) and _FIELD_VALUE.fullmatch(text) is not None


@frozen(kw_only=True)
class Fault:
    """One rule: which requests it meets, and what then goes wrong.

    Example:
        ```python
        from openrouter_async.emulator import Fault, run_emulator

        with run_emulator() as emulator:
            emulator.faults(Fault(operation="list_files", status=429, retry_after=0, times=2))
        ```

    Raises:
        ValueError: The rule makes no sense; the words say why.
    """

    operation: str = field(default="*", validator=_check_operation)
    """An operation such as ``upload_file``; ``*`` is any."""
    times: int | None = field(default=1, validator=_optional(_one_of(int), _from(1)))
    """How many requests it meets; None is all that come."""
    skip: int = field(default=0, validator=[_one_of(int), _from(0)])
    """How many requests pass unharmed first."""
    probability: float = field(default=1.0, validator=[_one_of(int, float), _from(0, 1)])
    """The share of requests that it meets."""
    seed: int | None = field(default=None, validator=_optional(_one_of(int)))
    """Makes the requests that ``probability`` picks the same each time."""
    early: bool = field(default=False, validator=_one_of(bool))
    """Whether it strikes before the request's body is read; otherwise after."""
    delay: float = field(default=0, validator=[_one_of(int, float), _from(0, _MAX_DELAY)])
    """Seconds to wait: before the answer, or if ``early`` before the body is read."""
    status: int | None = field(default=None, validator=_optional(_one_of(int), _from(200, 599)))
    """The status answered; nothing is done."""
    headers: Mapping[str, str] = field(factory=dict, validator=_check_headers)
    """Headers of that answer."""
    retry_after: str | float | None = field(
        default=None, validator=_optional(_one_of(str, int, float), _check_retry_after)
    )
    """Its ``Retry-After``: seconds, a date, or nonsense."""
    message: str | None = field(default=None, validator=_optional(_one_of(str)))
    """Its error message; the documented example if omitted."""
    body: str | None = field(default=None, validator=_optional(_one_of(str)))
    """Its body as it is, instead of the documented envelope."""
    close: str | None = field(
        default=None, validator=_optional(_one_of(str), validators.in_(["before_headers"]))
    )
    """``before_headers``: nothing is done, and the connection closed without an answer."""
    close_after_bytes: int | None = field(default=None, validator=_optional(_one_of(int), _from(0)))
    """Reset the connection once so much of the request's body, or all of it, has arrived."""
    truncate: int | None = field(default=None, validator=_optional(_one_of(int), _from(0)))
    """Close the connection after so many bytes of the answer's body."""
    drop_answer: bool = field(default=False, validator=_one_of(bool))
    """Do the work, then close the connection without an answer."""
    repeat_cursor: bool = field(default=False, validator=_one_of(bool))
    """Answer ``list_files`` with the first page and its cursor, whatever is asked for."""

    def __attrs_post_init__(self) -> None:
        """Refuse what does not go together."""
        endings = self.close, self.close_after_bytes, self.status
        if sum(ending is not None for ending in endings) > 1:
            msg = "close, close_after_bytes and status exclude each other"
            raise ValueError(msg)
        if self.status is None and any(self._says(name) for name in _ANSWER_FIELDS):
            msg = f"{', '.join(_ANSWER_FIELDS)} need a status"
            raise ValueError(msg)
        if self.repeat_cursor and self.operation not in {"*", "list_files"}:
            msg = f"repeat_cursor: {self.operation} has no cursor"
            raise ValueError(msg)
        if not any(self._says(name) for name in _ACTIONS):
            msg = f"the rule does nothing; give it one of {', '.join(_ACTIONS)}"
            raise ValueError(msg)

    @classmethod
    def from_json(cls, rule: object) -> "Fault":
        """Read a rule as the admin route takes it."""
        if not isinstance(rule, Mapping):
            msg = f"a rule must be an object, not {rule!r}"
            raise ValueError(msg)  # noqa: TRY004
        unknown = set(rule) - {a.name for a in attrs.fields(cls)}
        if unknown:
            msg = f"no such field: {', '.join(sorted(unknown))}"
            raise ValueError(msg)
        return cls(**rule)

    def to_json(self) -> dict[str, Any]:
        """The rule without the fields that say nothing."""
        return {
            a.name: getattr(self, a.name)
            for a in attrs.fields(type(self))
            if a.name == "operation" or self._says(a.name)
        }

    def _says(self, name: str) -> bool:
        return bool(getattr(self, name) != _DEFAULTS[name])


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
class _Rule:
    fault: Fault
    chance: random.Random
    seen: int = 0
    met: int = 0

    def meets(self) -> bool:
        """Count a request of the rule's operation, and say whether it strikes."""
        self.seen += 1
        exhausted = self.fault.times is not None and self.met >= self.fault.times
        if exhausted or self.seen <= self.fault.skip:
            return False
        if self.chance.random() >= self.fault.probability:
            return False
        self.met += 1
        return True


class FaultBook:
    """The rules in force, in their order; a request meets at most one."""

    def __init__(self) -> None:
        self._rules: Sequence[_Rule] = ()

    def replace(self, faults: Iterable[Fault]) -> None:
        """Forget all rules and counts; these apply from now on."""
        self._rules = [_Rule(fault, random.Random(fault.seed)) for fault in faults]

    def meet(self, operation: str | None) -> Fault | None:
        """The rule that strikes the request that has just arrived."""
        for rule in self._rules:
            if rule.fault.operation in {"*", operation} and rule.meets():
                return rule.fault
        return None

    def status(self) -> list[dict[str, Any]]:
        """Each rule with how many requests it saw, and how many it met."""
        return [{**r.fault.to_json(), "seen": r.seen, "met": r.met} for r in self._rules]
