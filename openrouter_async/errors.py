"""Every exception the SDK raises.

```
OpenRouterError
├── InvalidRequestError (also ValueError)      refused here, nothing was sent
│   ├── UploadSourceError                      the thing to upload cannot be read as promised
│   └── PreflightError                         .problems lists all that is wrong with a bulk run
├── DownloadTargetError                        the file to download into cannot be written
├── MissingAPIKeyError                         no key anywhere, nothing was sent
├── ClientClosedError                          the client was closed
├── JournalError                               a bulk run's journal cannot be used as it is
├── TransferStoppedError                       a bulk run ended before its last item; .reason
├── NoAnswerError                              no complete response came
│   ├── ConnectionFailedError
│   ├── TLSError
│   ├── RequestTimeoutError                    .limit says which
│   └── OutcomeUnknownError                    it may have been done all the same
│       └── UploadOutcomeUnknown               .filename, .size, .started
├── ResponseError                              a response came, with its status
│   ├── BadRequestResponseError 400, UnauthorizedResponseError 401, …
│   ├── OpenRouterDefaultError                 any other status that is not a success
│   └── ResponseValidationError                a success that is not what was promised
├── PaginationError                            a list that would never end
└── IntegrityError                             what arrived is not what was sent
```

The names of the status errors are those of OpenRouter's API documents. Every error survives
pickling, and none carries the API key.

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
from typing import Any, Final

from ._dates import parse_retry_after

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

NO_MESSAGE = "no words of the service's own"

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-generation-id", "cf-ray")


class OpenRouterError(Exception):
    """The root of the tree; ``except OpenRouterError`` catches whatever the SDK raises."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # BaseException's own would call __init__ with the message alone.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    cls: type[OpenRouterError], args: tuple[Any, ...], state: dict[str, Any]
) -> OpenRouterError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidRequestError(OpenRouterError, ValueError):
    """An argument that cannot be right; nothing was sent."""


class UploadSourceError(InvalidRequestError):
    """What was to be uploaded is missing, read_error, empty, too large, or changed under way.

    Nothing was stored: an upload that had begun was broken off before its end.
    """


class PreflightError(InvalidRequestError):
    """Some of what a bulk run was to upload would be refused; nothing was sent.

    Attributes:
        problems: A line for each thing that is wrong.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join((f"{len(self.problems)} to mend first:", *self.problems)))


class DownloadTargetError(OpenRouterError):
    """The file to download into exists already, or cannot be written; it is as it was."""


class MissingAPIKeyError(OpenRouterError):
    """No API key was passed and ``OPENROUTER_API_KEY`` is not set; nothing was sent."""


class ClientClosedError(OpenRouterError):
    """The client was closed before the call."""


class JournalError(OpenRouterError):
    """A bulk run's journal is in use, damaged, or of another destination; it is as it was."""


class TransferStoppedError(OpenRouterError):
    """A bulk run ended before its last item; what had an outcome by then has it.

    Attributes:
        reason: The failure that ended it.
    """

    def __init__(self, reason: OpenRouterError) -> None:
        super().__init__(f"the run was stopped: {reason}")
        self.reason = reason


class PaginationError(OpenRouterError):
    """The service answered a list in a way that would repeat or lose rows."""


class IntegrityError(OpenRouterError):
    """The bytes that arrived are not the bytes that were sent."""


class NoAnswerError(OpenRouterError):
    """No complete response arrived.

    Attributes:
        method: The HTTP method.
        url: The URL, without its query.
        maybe_processed: Whether the service may have acted on the request.
        answered: Whether a response had begun to arrive.
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
    """The secure connection could not be made: a certificate is not trusted. Never retried."""


class RequestTimeoutError(NoAnswerError):
    """A time limit of ours ran out.

    Attributes:
        limit: Which one: ``connect``, ``read``, ``write``, ``pool`` or ``total``.
    """

    def __init__(self, message: str, *, limit: str, **circumstances: Any) -> None:  # noqa: ANN401
        super().__init__(message, **circumstances)
        self.limit = limit


class OutcomeUnknownError(NoAnswerError):
    """The request was sent whole and its response was lost: it may have been done, or not.

    Attributes:
        reason: The failure that lost the response.
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
    """The upload was sent whole and its response was lost: the file may exist.

    ``RetryConfig(on_ambiguous_upload="reconcile")`` looks for it instead of raising.

    Attributes:
        filename: The name it was sent under.
        size: Its size in bytes; None if a stream of unknown length was not read to its end.
        started: When the attempt began (aware, by the service's clock where that is known).
        reason: The failure that lost the response.
    """

    def __init__(
        self, *, filename: str, size: int | None, started: datetime, reason: NoAnswerError
    ) -> None:
        super().__init__(
            f"{filename!r} was sent whole, but its response was lost ({reason}): the file may"
            " exist. List the files before you send it again, or set"
            " RetryConfig(on_ambiguous_upload='reconcile').",
            reason=reason,
        )
        self.filename = filename
        self.size = size
        self.started = started


class ResponseError(OpenRouterError):
    """A response came, and it is not a success (or not the success that was promised).

    Attributes:
        status_code: The HTTP status.
        code: The body's ``error.code``, if it is a number.
        message: The service's own words, or the status in words.
        metadata: The body's ``error.metadata``, if it is an object.
        headers: The response's headers, names in lower case.
        body: At most 64 KiB of the response's body.
        request_id: What the response calls the request, if any header does.
        retry_after: Seconds that the service asked to wait, or None.
        method: The HTTP method.
        url: The URL, without its query.
    """

    advice = ""
    """What to do next."""
    advice_if = ""
    """What the service's message has to mention for the advice to fit."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        code: int | None = None,
        metadata: dict[str, Any] | None = None,
        method: str = "",
        url: str = "",
    ) -> None:
        fits = self.advice and (self.advice_if in message.lower() or message.startswith(NO_MESSAGE))
        advice = f" ({self.advice})" if fits else ""
        super().__init__(f"{status_code} for {method} {url}: {message}{advice}")
        self.status_code = status_code
        self.code = code
        self.message = message
        self.metadata = metadata
        self.headers = dict(headers or {})
        self.body = body[:MAX_BODY]
        self.method = method
        self.url = url

    @property
    def request_id(self) -> str | None:
        """What the response calls the request, to quote to OpenRouter's support."""
        return next(
            (self.headers[name] for name in _REQUEST_ID_HEADERS if name in self.headers), None
        )

    @property
    def retry_after(self) -> float | None:
        """Seconds that the service asked to wait; None if it did not, or wrote nonsense."""
        return parse_retry_after(self.headers.get("retry-after"))


class BadRequestResponseError(ResponseError):
    """400: the service found the request malformed, or refuses it as it is."""


class UnauthorizedResponseError(ResponseError):
    """401: no API key, or not a valid one."""

    advice = "pass api_key=, or set OPENROUTER_API_KEY, to a valid key"


class PaymentRequiredResponseError(ResponseError):
    """402: the account is out of credits."""


class ForbiddenResponseError(ResponseError):
    """403: the key may not do this; workspaces need a management key."""

    advice = "workspaces need a management key: create one in OpenRouter's settings"
    advice_if = "management"


class NotFoundResponseError(ResponseError):
    """404: no such thing, or not in this workspace."""


class RequestTimeoutResponseError(ResponseError):
    """408: the service waited too long for the request."""


class ConflictResponseError(ResponseError):
    """409: it would contradict what is there already."""


class PayloadTooLargeResponseError(ResponseError):
    """413: over 100 MiB (104,857,600 bytes)."""

    advice = "a file may have 104857600 bytes (100 MiB) at most"


class TooManyRequestsResponseError(ResponseError):
    """429: too many requests; ``retry_after`` says when to come back, if the service did."""


class ClientClosedRequestResponseError(ResponseError):
    """499: the service saw the request broken off."""


class InternalServerResponseError(ResponseError):
    """500: the service failed."""


class BadGatewayResponseError(ResponseError):
    """502: something behind the service failed."""


class ServiceUnavailableResponseError(ResponseError):
    """503: the service is not available for the moment."""


class GatewayTimeoutResponseError(ResponseError):
    """504: something behind the service did not response in time."""


class OpenRouterDefaultError(ResponseError):
    """Any other status that is not a success."""


class ResponseValidationError(ResponseError):
    """A success that is not what the documents promise.

    Attributes:
        path: The field that is wrong, like ``data[3].created_at``; empty for the whole response.
    """

    def __init__(self, message: str, *, path: str = "", **response: Any) -> None:  # noqa: ANN401
        where = f"{path}: " if path else ""
        super().__init__(f"not the promised response: {where}{message}", **response)
        self.path = path


BY_STATUS: dict[int, type[ResponseError]] = {
    400: BadRequestResponseError,
    401: UnauthorizedResponseError,
    402: PaymentRequiredResponseError,
    403: ForbiddenResponseError,
    404: NotFoundResponseError,
    408: RequestTimeoutResponseError,
    409: ConflictResponseError,
    413: PayloadTooLargeResponseError,
    429: TooManyRequestsResponseError,
    499: ClientClosedRequestResponseError,
    500: InternalServerResponseError,
    502: BadGatewayResponseError,
    503: ServiceUnavailableResponseError,
    504: GatewayTimeoutResponseError,
}
