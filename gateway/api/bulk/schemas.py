"""What the wires of files and batches take and give: OpenAI's, every key always there."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.db.tables import Batch as BatchRow
from gateway.db.tables import File as FileRow

LEAST_LIFETIME = 3600
MOST_LIFETIME = 30 * 86400
Seconds = Annotated[int, Meta(ge=LEAST_LIFETIME, le=MOST_LIFETIME)]
Label = Annotated[str, Meta(max_length=512)]
LabelName = Annotated[str, Meta(max_length=64)]


class ExpiresAfter(msgspec.Struct, frozen=True):
    """For how long a file is kept."""

    anchor: Literal["created_at"]
    seconds: Seconds


class BatchBody(msgspec.Struct):
    """`POST /v1/batches`."""

    input_file_id: str | None = None
    endpoint: str | None = None
    completion_window: str | None = None
    metadata: Annotated[dict[LabelName, Label], Meta(max_length=16)] | None = None
    output_expires_after: ExpiresAfter | None = None


class File(msgspec.Struct, frozen=True, tag_field="object", tag="file"):
    """A file that is here."""

    id: str
    bytes: int
    created_at: int
    """Unix seconds, like all times here."""
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"]
    status_details: None


class Files(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of files."""

    data: list[File]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedFile(msgspec.Struct, frozen=True, tag_field="object", tag="file"):
    """A file that was here."""

    id: str
    deleted: bool


class BatchError(msgspec.Struct, frozen=True):
    """What is wrong with a batch."""

    code: str
    line: int | None
    message: str
    param: str | None


class BatchErrors(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """All of it."""

    data: list[BatchError]


class RequestCounts(msgspec.Struct, frozen=True):
    """How many requests a batch has."""

    total: int
    completed: int
    failed: int


class InputTokensDetails(msgspec.Struct, frozen=True):
    """None are ever cached."""

    cached_tokens: int = 0


class OutputTokensDetails(msgspec.Struct, frozen=True):
    """Embeddings have none."""

    reasoning_tokens: int = 0


class BatchUsage(msgspec.Struct, frozen=True):
    """Tokens that models processed for a batch so far."""

    input_tokens: int
    total_tokens: int
    output_tokens: int = 0
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()


class Batch(msgspec.Struct, frozen=True, tag_field="object", tag="batch"):
    """A batch as it is now."""

    id: str
    endpoint: str
    errors: BatchErrors | None
    input_file_id: str
    completion_window: str
    status: str
    model: str | None
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchUsage
    metadata: dict[str, str] | None


class Batches(msgspec.Struct, frozen=True, tag_field="object", tag="list"):
    """A page of batches."""

    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool


def shown_file(row: FileRow) -> File:
    """A file as the wire describes it."""
    expires = None if row.expires_at is None else int(row.expires_at.timestamp())
    created = int(row.created_at.timestamp())
    return File(row.id, row.bytes, created, expires, row.filename, row.purpose, "processed", None)


def shown_batch(row: BatchRow) -> Batch:
    """A batch as the wire describes it. Its files are named once they can be read."""
    ended = row.ended_at is not None

    def moment(status: str) -> int | None:
        return _unix(row.ended_at) if row.status == status else None

    return Batch(
        id=row.id,
        endpoint=row.endpoint,
        errors=BatchErrors([BatchError(**error) for error in row.errors]) if row.errors else None,
        input_file_id=row.input_file_id,
        completion_window=row.completion_window,
        status=row.status,
        model=row.model,
        output_file_id=row.output_file_id if ended and row.completed else None,
        error_file_id=row.error_file_id if ended and row.failed else None,
        created_at=int(row.created_at.timestamp()),
        in_progress_at=_unix(row.in_progress_at),
        expires_at=int(row.expires_at.timestamp()),
        finalizing_at=_unix(row.finalizing_at),
        completed_at=moment("completed"),
        failed_at=moment("failed"),
        expired_at=moment("expired"),
        cancelling_at=_unix(row.cancelling_at),
        cancelled_at=moment("cancelled"),
        request_counts=RequestCounts(row.total, row.completed, row.failed),
        usage=BatchUsage(row.tokens, row.tokens),
        metadata=row.labels,
    )


def _unix(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
