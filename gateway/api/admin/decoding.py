"""What operators' programs send, as typed values; refused with the name of what is wrong, before anything is done."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gateway.errors import MediaTypeUnsupported, PreconditionRequired, RequestError

JSON = b"application/json"


def check_is_json(content_type: bytes) -> None:
    """Raise MediaTypeUnsupported for anything else."""
    if content_type.partition(b";")[0].strip().lower() != JSON:
        raise MediaTypeUnsupported(JSON.decode())


def decode_json(decode: Callable[[bytes], Any], body: bytes) -> Any:
    """The body by a typed decoder. Raises RequestError."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise _refusal("The body", error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"The body is no JSON: {error}.") from error


def decode_query(kind: type[msgspec.Struct], text: bytes) -> msgspec.Struct:
    """Query parameters as a struct. Raises RequestError for unknown, repeated or wrong ones."""
    pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True)
    given = dict(pairs)
    if len(given) < len(pairs):
        raise RequestError("A query parameter is given twice.")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal("The query", error) from error


def expected_version(if_match: bytes | None, *, needed: bool) -> int | None:
    """What `If-Match` says: a version as `"7"`, or `*` for any. Raises PreconditionRequired where it is `needed`."""
    text = (if_match or b"").strip().decode("latin-1")
    if not text:
        if needed:
            raise PreconditionRequired
        return None
    if text == "*":
        return None
    number = text[1:-1]
    if text != f'"{number}"' or not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise RequestError(f'{text[:20]!r} is no version; send the ETag as it came, such as "7".', param="If-Match")
    return int(number)


def _refusal(what: str, error: msgspec.ValidationError) -> RequestError:
    reason, _, path = str(error).partition(" - at `")
    place = path.rstrip("`").removeprefix("$").removeprefix(".")
    field = place.partition("[")[0].partition(".")[0] or None
    return RequestError(f"{what} can not be used{f' at {place}' if place else ''}: {reason}.", param=field)
