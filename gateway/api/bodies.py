"""From bytes on a connection to a typed body: read once, bounded, decoded once, refused in OpenAI's words."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from litestar.types import Receive

from gateway.call import Call
from gateway.errors import BodyTooLarge, ClientGone, RequestError

API_REFERENCE = "Please check the API reference: https://platform.openai.com/docs/api-reference."
BAD_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The API expects a JSON payload, but what was sent was not valid JSON.)"
)

Body = TypeVar("Body")


async def read_body(receive: Receive, call: Call, limit: int) -> bytes:
    """The whole body, whatever its content-type says.

    Raises BodyTooLarge once more than `limit` bytes are announced or have come, ClientGone if the rest never does.
    """
    announced = call.headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge(limit)
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message["type"] == "http.request":
            chunks.append(message.get("body", b""))
            call.bytes_in += len(chunks[-1])
            if call.bytes_in > limit:
                raise BodyTooLarge(limit)
            if not message.get("more_body", False):
                return b"".join(chunks) if len(chunks) > 1 else chunks[0]


def decode_body(decode: Callable[[bytes], Body], body: bytes) -> Body:
    """The body by a typed msgspec decoder.

    Raises RequestError that names the field at fault.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        raise invalid(path.rstrip("`") or "$", reason) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(BAD_JSON) from error


def peek(decode: Callable[[bytes], Body], body: bytes) -> Body | None:
    """What a body says of whose it is, whatever else is wrong with it; None where it can not be read at all."""
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def invalid(path: str, reason: str) -> RequestError:
    """A field, as a JSON path such as `$.input`, has a value that can not be used."""
    field = path.removeprefix("$").removeprefix(".").partition("[")[0].partition(".")[0] or None
    return RequestError(f"'{path}' is invalid. {API_REFERENCE} ({reason})", param=field)


def missing(field: str) -> RequestError:
    """A field must be there and is not."""
    return RequestError(f"Missing required parameter: '{field}'.", param=field, code="missing_required_parameter")


def too_many(field: str, limit: int, length: int) -> RequestError:
    """A list is longer than this gateway was told to take."""
    return RequestError(
        f"Invalid '{field}': array too long. Expected an array with maximum length {limit}, but got an array with "
        f"length {length} instead.",
        param=field,
        code="array_above_max_length",
    )


def may_truncate(*said: bool | str | None) -> bool:
    """Whether long inputs may be cut: yes, unless one of the spellings says no (`false`, or Cohere's `NONE`)."""
    return not any(word is False or (isinstance(word, str) and word.upper() == "NONE") for word in said)
