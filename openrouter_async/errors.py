"""Every exception that the SDK raises.

```
OpenRouterError
├── InvalidRequestError (also ValueError)      an argument is invalid; nothing was sent
│   ├── UploadSourceError                      the content to upload cannot be read or sent
│   └── PreflightError                         .problems lists what is wrong with a bulk run
├── DownloadTargetError                        the file to download into cannot be written
├── MissingAPIKeyError                         no API key was given; nothing was sent
├── ClientClosedError                          the client was closed
├── JournalError                               a bulk run's journal cannot be used
├── TransferStoppedError                       a bulk run ended before its last item; .reason
├── NoAnswerError                              no complete response arrived
│   ├── ConnectionFailedError
│   ├── TLSError
│   ├── RequestTimeoutError                    .limit names the time limit
│   └── OutcomeUnknownError                    the request may have been carried out
│       └── UploadOutcomeUnknown               .filename, .size, .started
├── ResponseError                              the response is an error; .status_code
│   ├── BadRequestResponseError 400, UnauthorizedResponseError 401, …
│   ├── OpenRouterDefaultError                 any other status that is not a success
│   └── ResponseValidationError                a success without the documented form
├── PaginationError                            a list that would never end
└── IntegrityError                             what arrived is not what was sent
```

The status errors are named as in OpenRouter's API documentation. Every error can be pickled, and
none contains the API key.

Example:
    ```python
    from openrouter_async import errors

    try:
        await client.files.retrieve("or_file_missing")
    except errors.NotFoundResponseError as error:
        print(error.status_code, error.message, error.request_id)
    except errors.ResponseError as error:
        print(error, error.retry_after)
    except errors.NoAnswerError as error:
        print(error, error.maybe_processed)
    ```
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from ._dates import wait_from

__all__ = [
    "BadGatewayResponseError",
    "BadRequestResponseError",
    "ClientClosedError",
    "ClientClosedRequestResponseError",
    "ConflictResponseError",
    "ConnectionFailedError",
    "DownloadTargetError",
    "ForbiddenResponseError",
    "GatewayTimeoutResponseError",
    "IntegrityError",
    "InternalServerResponseError",
    "InvalidRequestError",
    "JournalError",
    "MissingAPIKeyError",
    "NoAnswerError",
    "NotFoundResponseError",
    "OpenRouterDefaultError",
    "OpenRouterError",
    "OutcomeUnknownError",
    "PaginationError",
    "PayloadTooLargeResponseError",
    "PaymentRequiredResponseError",
    "PreflightError",
    "RequestTimeoutError",
    "RequestTimeoutResponseError",
    "ResponseError",
    "ResponseValidationError",
    "ServiceUnavailableResponseError",
    "TLSError",
    "TooManyRequestsResponseError",
    "TransferStoppedError",
    "UnauthorizedResponseError",
    "UploadOutcomeUnknown",
    "UploadSourceError",
]


MAX_BODY: Final = 65_536
"""Bytes of an error's body that are read and kept."""

NO_MESSAGE: Final = "no message from the service"
"""Beginning of `ResponseError.message` where the body has none."""

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-generation-id", "cf-ray")


def request_id_from(headers: Mapping[str, str]) -> str | None:
    """Return the service's id for the request that a response's headers name."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)


class OpenRouterError(Exception):
    """Base class of every exception that the SDK raises."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # BaseException's method would call __init__ with nothing but the message.
        state = {name: value for name, value in vars(self).items() if not callable(value)}
        return _restore, (type(self), self.args, state)


def _restore(
    cls: type[OpenRouterError], args: tuple[Any, ...], state: dict[str, Any]
) -> OpenRouterError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidRequestError(OpenRouterError, ValueError):
    """An argument is invalid; nothing was sent."""


class UploadSourceError(InvalidRequestError):
    """The content to upload is missing, unreadable, empty, too large, or changed during the upload.

    Nothing was stored: an upload that had started was aborted before its end.
    """


class PreflightError(InvalidRequestError):
    """Some items of a bulk upload would be rejected; nothing was sent.

    Attributes:
        problems: One line for each problem.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join((f"{len(self.problems)} to fix first:", *self.problems)))


class DownloadTargetError(OpenRouterError):
    """The file to download into exists, or cannot be written; it was not changed."""


class MissingAPIKeyError(OpenRouterError):
    """No API key was passed and ``OPENROUTER_API_KEY`` is not set; nothing was sent."""


class ClientClosedError(OpenRouterError):
    """The client was closed before the call or during it."""


class JournalError(OpenRouterError):
    """A bulk run's journal is in use, damaged, or for another destination; it was not changed."""


class TransferStoppedError(OpenRouterError):
    """A bulk run ended before its last item; results that were reported by then hold.

    Attributes:
        reason: The error that ended the run.
    """

    def __init__(self, reason: OpenRouterError) -> None:
        super().__init__(f"the run was stopped: {reason}")
        self.reason = reason


class PaginationError(OpenRouterError):
    """The service's pages of a list would repeat rows, lose rows, or never end."""


class IntegrityError(OpenRouterError):
    """What arrived is not what was sent, announced or asked for: its size, coding or id differs."""


class NoAnswerError(OpenRouterError):
    """No complete response arrived.

    Attributes:
        method: The HTTP method.
        url: The URL, without its query.
        maybe_processed: Whether the service may have acted on the request.
        answered: Whether a response had started to arrive.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        url: str = "",
        maybe_processed: bool = False,
        answered: bool = False,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.url = url
        self.maybe_processed = maybe_processed
        self.answered = answered


class ConnectionFailedError(NoAnswerError):
    """The connection could not be made, or broke."""


class TLSError(NoAnswerError):
    """The TLS connection could not be made: a certificate is not trusted. Never retried."""


class RequestTimeoutError(NoAnswerError):
    """A time limit of the client was exceeded.

    Attributes:
        limit: ``connect``, ``read``, ``write``, ``pool`` or ``total``.
    """

    def __init__(self, message: str, *, limit: str, **circumstances: Any) -> None:  # noqa: ANN401
        super().__init__(message, **circumstances)
        self.limit = limit


class OutcomeUnknownError(NoAnswerError):
    """The request was sent completely, but its response was lost: it may have been carried out.

    Attributes:
        reason: The error that lost the response.
    """

    def __init__(self, message: str, *, reason: NoAnswerError) -> None:
        super().__init__(
            message,
            method=reason.method,
            url=reason.url,
            maybe_processed=True,
            answered=reason.answered,
        )
        self.reason = reason


class UploadOutcomeUnknown(OutcomeUnknownError):  # noqa: N818 - the documented name
    """The upload was sent completely, but its response was lost: the file may exist.

    With ``RetryConfig(on_ambiguous_upload="reconcile")`` the SDK looks for the file instead.

    Attributes:
        filename: The filename that was sent.
        size: Bytes of content that were sent; None if a stream was not read to its end.
        started: When the attempt started (aware, by the service's clock if that is known).
        reason: The error that lost the response.
    """

    def __init__(
        self, *, filename: str, size: int | None, started: datetime, reason: NoAnswerError
    ) -> None:
        super().__init__(
            f"{filename!r:.100} was sent completely, but its response was lost ({reason}): the"
            " file may exist. List the files before you send it again, or set"
            " RetryConfig(on_ambiguous_upload='reconcile').",
            reason=reason,
        )
        self.filename = filename
        self.size = size
        self.started = started


BY_STATUS: dict[int, "type[ResponseError]"] = {}
"""The class of each status that has one of its own."""


class ResponseError(OpenRouterError):
    """The response is not a success, or not a success of the documented form.

    Attributes:
        status_code: The HTTP status.
        code: The body's ``error.code``, if it is a number.
        message: The service's message; if it sent none, at most 200 readable characters of the
            body, or a description of the response.
        metadata: The body's ``error.metadata``, if it is an object.
        error_type: The metadata's stable name of the error, like ``rate_limit_exceeded``, or None.
        user_id: The id of the user whose key was sent, if the body has it.
        openrouter_metadata: The body's ``openrouter_metadata``, if it is an object.
        headers: The response's headers, names in lower case.
        body: At most 64 KiB of the response's body.
        request_id: The service's id for the request, or None.
        retry_after: Seconds that the service asked to wait, or None.
        method: The HTTP method.
        url: The URL, without its query.
    """

    advice = ""
    """What to do next."""
    advice_if = ""
    """Text that the service's message must contain for the advice to apply."""

    def __init_subclass__(cls, *, status: int | None = None) -> None:
        if status is not None:
            BY_STATUS[status] = cls

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        code: int | None = None,
        metadata: dict[str, Any] | None = None,
        user_id: str | None = None,
        openrouter_metadata: dict[str, Any] | None = None,
        method: str = "",
        url: str = "",
    ) -> None:
        applies = self.advice_if in message.lower() or message.startswith(NO_MESSAGE)
        advice = f" ({self.advice})" if self.advice and applies else ""
        self.headers = dict(headers or {})
        request = f" (request id {self.request_id:.100})" if self.request_id else ""
        super().__init__(f"{status_code} for {method} {url}: {message}{advice}{request}")
        self.status_code = status_code
        self.code = code
        self.message = message
        self.metadata = metadata
        self.user_id = user_id
        self.openrouter_metadata = openrouter_metadata
        self.body = body[:MAX_BODY]
        self.method = method
        self.url = url

    @property
    def error_type(self) -> str | None:
        """The stable name of the error, like ``rate_limit_exceeded``, where the service sent it."""
        error_type = (self.metadata or {}).get("error_type")
        return error_type if isinstance(error_type, str) else None

    @property
    def request_id(self) -> str | None:
        """The service's id for the request, to quote to OpenRouter's support."""
        return request_id_from(self.headers)

    @property
    def retry_after(self) -> float | None:
        """Seconds that the service asked to wait; None if it did not, or not in a valid form."""
        return wait_from(self.headers, throttled=self.status_code == HTTPStatus.TOO_MANY_REQUESTS)


class BadRequestResponseError(ResponseError, status=400):
    """400: the request is malformed, or breaks a rule of the service.

    Attributes:
        blocking_keys: Where a workspace cannot be deleted, or members not be removed: a callable
            that requests the active API keys that prevent it (async on the async client). None
            otherwise, and after pickling.
    """

    blocking_keys: Callable[[], Any] | None = None


class UnauthorizedResponseError(ResponseError, status=401):
    """401: the API key is missing or invalid."""

    advice = "pass api_key=, or set OPENROUTER_API_KEY, to a valid key"


class PaymentRequiredResponseError(ResponseError, status=402):
    """402: the account is out of credits."""


class ForbiddenResponseError(ResponseError, status=403):
    """403: the key has no permission for this; workspaces need a management key."""

    advice = "workspaces need a management key: create one in OpenRouter's settings"
    advice_if = "management"


class NotFoundResponseError(ResponseError, status=404):
    """404: not found, or not in this workspace."""


class RequestTimeoutResponseError(ResponseError, status=408):
    """408: the service did not receive the request in time."""


class ConflictResponseError(ResponseError, status=409):
    """409: the request conflicts with the current state."""


class PayloadTooLargeResponseError(ResponseError, status=413):
    """413: the file exceeds 100 MiB (104,857,600 bytes)."""

    advice = "the limit for a file is 104857600 bytes (100 MiB)"


class TooManyRequestsResponseError(ResponseError, status=429):
    """429: too many requests; ``retry_after`` has the wait, if the service named one."""


class ClientClosedRequestResponseError(ResponseError, status=499):
    """499: the connection was closed before the service could respond."""


class InternalServerResponseError(ResponseError, status=500):
    """500: the service failed."""


class BadGatewayResponseError(ResponseError, status=502):
    """502: a server behind the service failed."""


class ServiceUnavailableResponseError(ResponseError, status=503):
    """503: the service is temporarily unavailable."""


class GatewayTimeoutResponseError(ResponseError, status=504):
    """504: a server behind the service did not respond in time."""


class OpenRouterDefaultError(ResponseError):
    """Any other status that is not a success."""


class ResponseValidationError(ResponseError):
    """A success whose body does not have the documented form.

    Attributes:
        path: The invalid field, like ``data[3].created_at``; empty for the entire response.
    """

    def __init__(self, message: str, *, path: str = "", **response: Any) -> None:  # noqa: ANN401
        where = f"{path}: " if path else ""
        super().__init__(f"unexpected response: {where}{message}", **response)
        self.path = path
