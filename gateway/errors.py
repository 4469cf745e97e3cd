"""Everything that can go wrong in the gateway, as one tree, and its one mapping to a wire body.

GatewayError
├── RequestError                400  the caller must change the request
│   ├── InputTooLong            400  an input passes the model's limit and may not be cut
│   └── CostTooHigh             400  no wait would ever make it fit the quota
├── AuthenticationFailed        401  no key, or none that is valid
├── TenantSuspended             403
├── PermissionDenied            403  known, but not allowed to do this
├── NotFound                    404
│   ├── ModelNotFound           404  unknown and forbidden alike
│   ├── FileNotThere            404  the same of files
│   ├── FileContentGone         404  the file is known, its bytes are no more
│   ├── BatchNotThere           404  and of batches
│   └── RouteNotFound           404
├── MethodNotAllowed            405
├── Conflict                    409  a name is taken, or somebody else changed the thing first
├── BodyTooLarge                413
├── MediaTypeUnsupported        415
├── PreconditionRequired        428  a change must say which version it was meant for
├── QuotaExceeded               429  a limit of the tenant or key: its requests
│   ├── TokenQuotaExceeded      429  its tokens
│   ├── ConcurrencyExceeded     429  its requests at one time
│   └── QuotaSpent              429  waiting does not help
├── EngineOverloaded            429  the node's queue is full
├── EngineFailed                500  the node failed at this request
├── ModelUnusable               500  the model can not be loaded; waiting does not help
├── ClientGone                  499  nobody is left to answer
├── StorageFull                 507  no room for a file
└── Unavailable                 503  no node now; come back
    ├── ModelLoading            503  on its way
    ├── StorageUnusable         503  files can not be kept where the operator said
    └── EngineGone              503  the node broke off; another one may serve the same request
        └── UpstreamRefuses     503  our key or account there is no good; waiting does not help

The texts are OpenAI's where clients classify errors by text (`reference: clients.md §6`).
"""

from typing import ClassVar

import msgspec


class GatewayError(Exception):
    """An answer other than the one asked for. Subclasses fix status, type and code; instances carry the message."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    reason: str | None = None
    """More than the message says: for the log and for operators; callers are not told."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.headers = headers or {}

    @property
    def for_operators(self) -> str:
        """What went wrong, for whoever may know all of it."""
        return self.reason or self.message


class RequestError(GatewayError):
    """The request itself is at fault."""

    status = 400
    type = "invalid_request_error"


class InputTooLong(RequestError):
    """An input has more tokens than the model takes, and the caller forbade cutting it."""

    def __init__(self, *, index: int, limit: int, actual: int) -> None:
        super().__init__(
            f"This model's maximum context length is {limit} tokens, however you requested {actual} tokens "
            f"({actual} in your prompt; 0 for the completion). Please reduce your prompt; or completion length. "
            f"(input[{index}])",
            code="context_length_exceeded",
            param="input",
        )


class CostTooHigh(RequestError):
    """The request may cost more than the limit could ever admit at once."""

    type = "max_tokens_per_request"


class AuthenticationFailed(GatewayError):
    """No API key, or one that is unknown, malformed, revoked or expired."""

    status = 401
    type = "invalid_request_error"


class TenantSuspended(GatewayError):
    """The key is good, its tenant is suspended."""

    status = 403
    type = "permission_error"


class PermissionDenied(GatewayError):
    """The caller is known, and what it asks is not among what it may do."""

    status = 403
    type = "permission_error"


class NotFound(GatewayError):
    """The thing does not exist, or not for this caller."""

    status = 404
    type = "invalid_request_error"


class ModelNotFound(NotFound):
    """Unknown and forbidden models look alike."""

    def __init__(self, model: str, similar: str | None = None) -> None:
        hint = f" Did you mean `{similar}`?" if similar else ""
        super().__init__(
            f"The model `{model}` does not exist or you do not have access to it.{hint}",
            code="model_not_found",
            param="model",
        )


class FileNotThere(NotFound):
    """Unknown files and those of others look alike."""

    def __init__(self, file_id: str, param: str = "id") -> None:
        super().__init__(f"No such File object: {file_id}", code="file_not_found", param=param)


class FileContentGone(NotFound):
    """The file is known, and its bytes are not where they were kept."""

    def __init__(self, file_id: str) -> None:
        super().__init__(
            f"The content of the file {file_id} is lost; please upload it, or run its batch, again.",
            code="file_content_gone",
            param="id",
        )


class BatchNotThere(NotFound):
    """Unknown batches and those of others look alike."""

    def __init__(self, batch_id: str, param: str = "id") -> None:
        super().__init__(f"No batch found with id '{batch_id}'.", code="batch_not_found", param=param)


class RouteNotFound(NotFound):
    """No handler at this path."""

    def __init__(self, method: str, path: str) -> None:
        super().__init__(f"Invalid URL ({method} {path})", code="unknown_url")


class MethodNotAllowed(GatewayError):
    """The path exists, the method does not."""

    status = 405
    type = "invalid_request_error"

    def __init__(self, method: str, path: str, allow: str | None = None) -> None:
        super().__init__(
            f"Not allowed to {method} on {path}.",
            code="method_not_allowed",
            headers={"allow": allow} if allow else None,
        )


class Conflict(GatewayError):
    """The change contradicts what is there."""

    status = 409
    type = "conflict_error"


class BodyTooLarge(GatewayError):
    """More bytes than the gateway takes in one request."""

    status = 413
    type = "request_too_large"

    def __init__(self, limit: int, advice: str = "send fewer inputs per request") -> None:
        super().__init__(f"The request body is larger than {limit} bytes; {advice}.", code="request_too_large")


class MediaTypeUnsupported(GatewayError):
    """The body is not of the one kind that is understood."""

    status = 415
    type = "invalid_request_error"

    def __init__(self, expected: str) -> None:
        super().__init__(f"Send the body as {expected}, and say so in content-type.", code="unsupported_media_type")


class PreconditionRequired(GatewayError):
    """The change could undo what somebody else just did, and does not say which version it has seen."""

    status = 428
    type = "invalid_request_error"

    def __init__(self) -> None:
        super().__init__(
            "Say which version you change: send its ETag as If-Match, or `*` for whatever it is now.",
            code="precondition_required",
            param="If-Match",
        )


class QuotaExceeded(GatewayError):
    """A limit of the tenant or the key is used up. `type` says which: `requests` or `tokens`."""

    status = 429
    type = "requests"


class TokenQuotaExceeded(QuotaExceeded):
    """The tokens are used up, not the requests."""

    type = "tokens"


class ConcurrencyExceeded(QuotaExceeded):
    """As many requests are under way as may be."""

    type = "concurrency"


class QuotaSpent(QuotaExceeded):
    """Nothing is allowed at all, or not before somebody raises the limit."""

    type = "insufficient_quota"


class EngineOverloaded(GatewayError):
    """The node has as much waiting work as it will hold."""

    status = 429
    type = "server_error"


class EngineFailed(GatewayError):
    """The node answered with a failure of its own."""

    def __init__(self, reason: str) -> None:
        super().__init__("The server had an error while processing your request. Sorry about that!")
        self.reason = reason


class ModelUnusable(GatewayError):
    """The model can not be served; the same request will fail again."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="model_unusable", should_retry=False)


class ClientGone(GatewayError):
    """The caller closed the connection before its answer was there. For the books only: nobody reads it."""

    status = 499

    def __init__(self) -> None:
        super().__init__("The client closed the connection.")


class Unavailable(GatewayError):
    """No node can answer now."""

    status = 503


class ModelLoading(Unavailable):
    """The model is being loaded and was not there within the caller's patience."""


class EngineGone(Unavailable):
    """The connection to the node failed or broke, or the node is going away: the request may be tried on another."""

    def __init__(
        self, message: str, *, code: str | None = None, retry_after: float | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after)
        self.reason = reason
        self.answered = False
        """Whether it answered, if only with a failure: any request may have one, and it is no proof that it is away."""


class UpstreamRefuses(EngineGone):
    """An upstream does not accept this gateway: its operator must do something."""

    def __init__(self, reason: str | None = None, *, of_credential: bool = False) -> None:
        super().__init__(
            "The server behind this model does not accept this service. Please ask the operator of this service.",
            code="upstream_refuses",
            reason=reason,
        )
        self.answered, self.should_retry = True, False
        self.of_credential = of_credential
        """Whether another credential would help."""


class StorageUnusable(Unavailable):
    """Files can not be kept where the operator said."""


class StorageFull(GatewayError):
    """There is no room for a file on the gateway's disk; nothing was changed."""

    status = 507

    def __init__(self) -> None:
        super().__init__(
            "There is no room for this file now; please ask the operator of this service.",
            code="storage_full",
            should_retry=False,
        )


class ErrorDetail(msgspec.Struct, frozen=True):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """One body, every client's key in it: `error` (OpenAI), `message` (Cohere), `detail` (Jina, Voyage)."""

    error: ErrorDetail
    message: str
    detail: str


class PlainErrorBody(msgspec.Struct, frozen=True):
    """What text-embeddings-inference says."""

    error: str
    error_type: str


def error_body(error: GatewayError) -> bytes:
    """Render an error as JSON."""
    detail = ErrorDetail(error.message, error.type, error.param, error.code)
    return msgspec.json.encode(ErrorBody(detail, error.message, error.message))


def plain_error_body(error: GatewayError) -> bytes:
    """Render an error as text-embeddings-inference does, for its clients."""
    kind = "Validation" if error.status < 429 else "Overloaded" if error.status in {429, 503} else "Backend"
    return msgspec.json.encode(PlainErrorBody(error.message, kind))


def error_headers(error: GatewayError) -> dict[str, str]:
    """The headers by which clients decide whether and when to try again."""
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, -int(-error.retry_after // 1)))
        headers["retry-after-ms"] = str(max(1, -int(-error.retry_after * 1000 // 1)))
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    return headers
