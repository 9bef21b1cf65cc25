"""When to retry, as pure decisions; the only module that imports backoff."""

import enum
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any, Final, Literal, get_args

import backoff
from attrs import field, frozen

from ..errors import (
    InvalidRequestError,
    NoAnswerError,
    NotFoundResponseError,
    OpenRouterError,
    ResponseError,
    ResponseValidationError,
    TLSError,
)
from .checks import is_number, must_be
from .operation import Repeat

__all__ = ["Backoff", "Failure", "RetryConfig", "already_deleted", "classify", "may_retry"]

OnAmbiguousUpload = Literal["raise", "reconcile", "resend"]

_THROTTLED: Final = frozenset({408, 425, 429})
_UNAVAILABLE: Final = 503
_RETRIED: Final = _THROTTLED | {500, 502, 503, 504} | frozenset(range(520, 530))
_RETRY_ONCE_ATTEMPTS: Final = 2
_SHORTEST: Final = 1e-9
"""Seconds. From 0 the limits would never grow, and backoff's exponent would overflow."""


_CHOICES: Final = get_args(OnAmbiguousUpload)

_attempts: Any = must_be(
    "an integer of at least 1 or None",
    lambda value: value is None or (type(value) is int and value >= 1),
)
_seconds: Any = must_be(
    "a number of seconds of at least 0", lambda value: is_number(value) and value >= 0
)
_factor: Any = must_be("a number of at least 1", lambda value: is_number(value) and value >= 1)
_flag: Any = must_be("True or False", lambda value: isinstance(value, bool))
_choice: Any = must_be(
    f"one of {', '.join(map(repr, _CHOICES))}", lambda value: any(value == c for c in _CHOICES)
)


def _as_set(codes: Iterable[int]) -> frozenset[int]:
    given: tuple[Any, ...] = tuple(codes) if isinstance(codes, Iterable) else (None,)
    if not all(type(code) is int for code in given):
        msg = f"status_codes must be a set of integers, not {codes!r:.100}"
        raise InvalidRequestError(msg)
    return frozenset(given)


@frozen(kw_only=True)
class RetryConfig:
    """When a call is retried, and for how long. Times are in seconds.

    Each wait is random between 0 and ``initial_interval * exponent ** n`` (full jitter), and at
    least the response's ``Retry-After``. Which failures are retried depends on the operation,
    too: an upload that may have been stored is not sent again.

    Example:
        ```python
        from openrouter_async import RetryConfig

        retries = RetryConfig(max_attempts=10, on_ambiguous_upload="reconcile")
        async with AsyncOpenRouter(retries=retries) as patient:
            await patient.files.upload("report.pdf")
        ```

    Attributes:
        max_attempts: Attempts in total, including the first; None for no limit.
        initial_interval: Upper limit of the first wait.
        exponent: Factor by which that limit grows from wait to wait.
        max_interval: Where the limit stops growing.
        max_elapsed_time: No attempt starts later than this after the call did.
        max_transfer_time: The same for uploads and downloads.
        retry_connection_errors: Whether to retry when no response came.
        status_codes: The statuses that are retried.
        max_retry_after: A response with a longer ``Retry-After`` is raised at once.
        on_ambiguous_upload: What to do when an upload's response is lost: ``raise``
            `UploadOutcomeUnknown`; ``reconcile``: look for the file, and send it again if it
            is not there; ``resend``, at the risk of a duplicate.
    """

    max_attempts: int | None = field(default=4, validator=_attempts)
    initial_interval: float = field(default=0.5, validator=_seconds)
    exponent: float = field(default=1.5, validator=_factor)
    max_interval: float = field(default=8.0, validator=_seconds)
    max_elapsed_time: float = field(default=60.0, validator=_seconds)
    max_transfer_time: float = field(default=600.0, validator=_seconds)
    retry_connection_errors: bool = field(default=True, validator=_flag)
    status_codes: frozenset[int] = field(default=_RETRIED, converter=_as_set)
    max_retry_after: float = field(default=60.0, validator=_seconds)
    on_ambiguous_upload: OnAmbiguousUpload = field(default="raise", validator=_choice)

    @classmethod
    def none(cls) -> "RetryConfig":
        """Return settings for a single attempt.

        Example:
            ```python
            from openrouter_async import RetryConfig

            file = await client.files.retrieve(file_id, retries=RetryConfig.none())
            ```
        """
        return cls(max_attempts=1)

    @classmethod
    def vendor(cls) -> "RetryConfig":
        """Return the strategy of the vendor's own clients: retry 5XX for up to an hour.

        Our safety rules stay: an upload that may have been stored is not sent again, and a
        ``Retry-After`` of over an hour is not waited for.

        Example:
            ```python
            from openrouter_async import RetryConfig

            async with AsyncOpenRouter(retries=RetryConfig.vendor()) as client:
                await client.files.list()
            ```
        """
        return cls(
            max_attempts=None,
            max_interval=60.0,
            max_elapsed_time=3600.0,
            max_transfer_time=3600.0,
            status_codes=frozenset(range(500, 600)),
            max_retry_after=3600.0,
        )


class Failure(enum.Enum):
    """How an attempt failed, as far as a retry is concerned."""

    UNSENT = enum.auto()
    """The service cannot have acted: it never received the complete request."""
    THROTTLED = enum.auto()
    """The service says that it did not act, and asks to try later."""
    FAILED = enum.auto()
    """The service failed, perhaps after it had acted."""
    BROKEN = enum.auto()
    """The request was sent completely; no response came."""
    BROKEN_BODY = enum.auto()
    """The response's body broke off or was damaged."""


_REPEATS: Final = {
    Repeat.SAFE: frozenset(Failure),
    Repeat.IDEMPOTENT: frozenset(Failure),
    Repeat.RETRY_ONCE: frozenset(Failure) - {Failure.BROKEN_BODY},
    Repeat.NON_IDEMPOTENT: frozenset({Failure.UNSENT, Failure.THROTTLED}),
}


def classify(error: OpenRouterError, config: RetryConfig) -> Failure | None:
    """Return the kind of failure; None for one that a retry cannot mend."""
    if isinstance(error, ResponseError):
        return _classify_response(error, config)
    if not isinstance(error, NoAnswerError) or isinstance(error, TLSError):
        return None
    if not config.retry_connection_errors or getattr(error, "limit", None) == "total":
        return None
    if not error.maybe_processed:
        return Failure.UNSENT
    return Failure.BROKEN_BODY if error.answered else Failure.BROKEN


def _classify_response(error: ResponseError, config: RetryConfig) -> Failure | None:
    status = error.status_code
    if isinstance(error, ResponseValidationError) or status not in config.status_codes:
        return None
    if status in _THROTTLED or (status == _UNAVAILABLE and error.retry_after is not None):
        return Failure.THROTTLED
    return Failure.FAILED


def may_retry(failure: Failure | None, repeat: Repeat, attempt: int, config: RetryConfig) -> bool:
    """Whether an operation may be retried after its ``attempt``-th attempt failed this way."""
    if failure is None or failure not in _REPEATS[repeat]:
        return False
    sent = failure in {Failure.FAILED, Failure.BROKEN}
    if repeat is Repeat.RETRY_ONCE and sent and attempt >= _RETRY_ONCE_ATTEMPTS:
        return False
    return config.max_attempts is None or attempt < config.max_attempts


def already_deleted(error: OpenRouterError, earlier: AbstractSet[Failure | None]) -> bool:
    """Whether a deletion's 404 may only mean that an earlier attempt had succeeded."""
    return isinstance(error, NotFoundResponseError) and bool(
        earlier & {Failure.FAILED, Failure.BROKEN, Failure.BROKEN_BODY}
    )


class Backoff:
    """The waits between the attempts of one call, within its deadline."""

    def __init__(self, config: RetryConfig, deadline: float) -> None:
        self._config = config
        self._deadline = deadline
        self._bounds = backoff.expo(
            base=config.exponent,
            factor=config.initial_interval or _SHORTEST,
            max_value=config.max_interval,
        )
        next(self._bounds)  # backoff's generators yield None first

    def next_wait(self, retry_after: float | None, now: float) -> float | None:
        """Return the seconds to wait before the next attempt; None if it would be too late."""
        floor = retry_after or 0.0
        wait = max(floor, backoff.full_jitter(next(self._bounds)))
        late = now + wait >= self._deadline or floor > self._config.max_retry_after
        return None if late else wait
