"""Everything that can go wrong on an engine node, as one tree, and its one mapping to the wire.

EngineError                        code                     status
├── BadRequest                     bad_request              400
│   ├── BodyTooLarge               bad_request              413
│   ├── DimensionsUnsupported      dimensions_unsupported   400
│   ├── InputTooLong               input_too_long           400
│   ├── QueryTooLong               input_too_long           400
│   ├── LabelsTooLong              input_too_long           400
│   └── TaskUnsupported            task_unsupported         400
├── Unauthorized                   unauthorized             401
├── RouteNotFound                  not_found                404
├── ModelError                                                   why a model can not be served
│   ├── SourceNotFound             model_not_found          404
│   ├── HubUnreachable             hub_unreachable          503  come back
│   ├── DiskFull                   disk_full                507  come back
│   ├── ModelInvalid               model_invalid            422
│   │   ├── FolderIncomplete       model_invalid            422
│   │   ├── ArchitectureUnknown    model_invalid            422
│   │   ├── CheckpointCorrupt      model_invalid            422
│   │   ├── WeightsRefused         model_invalid            422
│   │   └── WeightMismatch         model_invalid            422
│   ├── ModelTooLarge              model_too_large          422
│   ├── LoadTimedOut               load_timed_out           503  come back
│   └── ModelLoading               model_loading            503  come back
├── QueueFull                      queue_full               429  come back
├── DeadlinePassed                 deadline_passed          504
├── Draining                       draining                 503  come back, or go elsewhere
├── OutOfMemory                    out_of_memory            503
└── InferenceFailed                inference_failed         500
"""

from typing import ClassVar

from engine.protocol import ErrorReply


class EngineError(Exception):
    """An answer other than the one asked for. Subclasses fix code and status; instances carry the message."""

    code: ClassVar[str] = "inference_failed"
    status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        index: int | None = None,
        limit: int | None = None,
        actual: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.index = index
        self.limit = limit
        self.actual = actual

    @property
    def reply(self) -> ErrorReply:
        """The error as it goes over the wire."""
        return ErrorReply(
            code=self.code,
            message=self.message,
            retry_after=self.retry_after,
            index=self.index,
            limit=self.limit,
            actual=self.actual,
        )


class BadRequest(EngineError):
    """The request itself is at fault."""

    code = "bad_request"
    status = 400


class BodyTooLarge(BadRequest):
    """The body passes what a node reads."""

    status = 413


class DimensionsUnsupported(BadRequest):
    """The model was not trained to be cut to this width; `limit` is its full width."""

    code = "dimensions_unsupported"


class InputTooLong(BadRequest):
    """An input has more tokens than the model takes, and the caller forbade cutting it."""

    code = "input_too_long"

    def __init__(self, *, index: int, limit: int, actual: int) -> None:
        super().__init__(
            f"An input has {actual} tokens; the model takes {limit}. Shorten it, or allow truncation.",
            index=index,
            limit=limit,
            actual=actual,
        )


class QueryTooLong(BadRequest):
    """What every pair of a request begins with leaves no room for its other text; truncation would not help."""

    code = "input_too_long"

    def __init__(self, *, limit: int, actual: int, what: str = "query") -> None:
        super().__init__(
            f"The {what} alone has {actual} tokens, with those that frame a pair; the model takes {limit} of a pair. "
            "Shorten it.",
            index=-1,
            limit=limit,
            actual=actual,
        )


class LabelsTooLong(BadRequest):
    """Labels leave a text no room; truncation would not help."""

    code = "input_too_long"

    def __init__(self, *, limit: int, actual: int) -> None:
        super().__init__(
            f"The labels have {actual} tokens, with those that frame them; the model takes {limit}. Give fewer or "
            "shorter ones.",
            limit=limit,
            actual=actual,
        )


class TaskUnsupported(BadRequest):
    """The model can not do what is asked of it."""

    code = "task_unsupported"


class Unauthorized(EngineError):
    """No secret, or not this node's."""

    code = "unauthorized"
    status = 401


class RouteNotFound(EngineError):
    """No such call."""

    code = "not_found"
    status = 404


class ModelError(EngineError):
    """A model that can not be served now."""


class SourceNotFound(ModelError):
    """Neither a folder, nor bundled, nor on the hub."""

    code = "model_not_found"
    status = 404


class HubUnreachable(ModelError):
    """The model is not on this machine and its hub does not answer."""

    code = "hub_unreachable"
    status = 503


class DiskFull(ModelError):
    """The model's files do not fit on the node's disk."""

    code = "disk_full"
    status = 507


class ModelInvalid(ModelError):
    """The folder holds no model that this node can run; waiting does not help."""

    code = "model_invalid"
    status = 422


class FolderIncomplete(ModelInvalid):
    """A file that every model needs is missing."""


class ArchitectureUnknown(ModelInvalid):
    """A network, module or option that is not written here."""


class CheckpointCorrupt(ModelInvalid):
    """A weight file that is not what its header says."""


class WeightsRefused(ModelInvalid):
    """A weight file in a form that is not read here, or that would have to be run."""


class WeightMismatch(ModelInvalid):
    """Tensors that the architecture lacks, or that the checkpoint lacks."""


class ModelTooLarge(ModelError):
    """More bytes than the node's memory budget can ever hold."""

    code = "model_too_large"
    status = 422


class LoadTimedOut(ModelError):
    """A load took longer than the node allows and was given up; another try may do better."""

    code = "load_timed_out"
    status = 503


class ModelLoading(ModelError):
    """Not loaded within the caller's patience; the load goes on."""

    code = "model_loading"
    status = 503


class QueueFull(EngineError):
    """More tokens wait than the node may hold."""

    code = "queue_full"
    status = 429


class DeadlinePassed(EngineError):
    """The caller's patience ended before its work began."""

    code = "deadline_passed"
    status = 504


class Draining(EngineError):
    """The node is going away and takes nothing new."""

    code = "draining"
    status = 503


class OutOfMemory(EngineError):
    """One input alone did not fit in the device's memory."""

    code = "out_of_memory"
    status = 503


class InferenceFailed(EngineError):
    """The forward pass failed; the reason is in the node's log."""
