"""`multipart/form-data` from a connection into the storage, piece by piece: no file is ever held in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from litestar.types import Receive
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from gateway.api.bodies import missing
from gateway.call import Call
from gateway.errors import BodyTooLarge, ClientGone, MediaTypeUnsupported, RequestError
from gateway.services.bulk.storage import PIECE, Incoming

MOST_FIELD = 4096
"""Bytes of a field that is no file."""
MOST_FIELDS = 32
AROUND = 64 * 1024
"""Bytes that a body may have beside its file."""
LONGEST_NAME = 255
FORM = "multipart/form-data"


@dataclass(slots=True)
class Form:
    """What came beside the bytes of the file."""

    filename: str | None = None
    """None: there was no file."""
    fields: dict[str, str] = field(default_factory=dict)


async def receive_form(receive: Receive, call: Call, incoming: Incoming, limit: int) -> Form:
    """Write the part `file` to `incoming` as it comes; the other fields of the form.

    Raises BodyTooLarge, RequestError, MediaTypeUnsupported, ClientGone, and what `incoming` raises.
    """
    parser = parser_for(call.headers.get(b"content-type", b""))
    announced = call.headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit + AROUND:
        raise _too_large(limit)
    reading = _Reading(incoming, limit)
    async for piece in _pieces(receive, call, limit):
        try:
            for event in parser.parse(piece):
                reading.take(event)
        except (MultipartError, UnicodeDecodeError) as error:
            raise _broken(error) from error
        await reading.write(at_least=PIECE)
    try:
        parser.close()
    except MultipartError as error:
        raise _broken(error) from error
    await reading.write(at_least=1)
    if reading.form.filename is None:
        raise missing("file")
    return reading.form


async def _pieces(receive: Receive, call: Call, limit: int) -> AsyncIterator[bytes]:
    """The body as it comes, none of it empty."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if message["type"] == "http.request":
            piece, more = message.get("body", b""), message.get("more_body", False)
            call.bytes_in += len(piece)
            if call.bytes_in > limit + AROUND:
                raise _too_large(limit)
            if piece:
                yield piece


def parser_for(content_type: bytes) -> PushMultipartParser:
    """The parser for a body that says this of itself. Raises MediaTypeUnsupported, RequestError."""
    kind, options = parse_options_header(content_type.decode("latin-1"))
    if kind != FORM:
        raise MediaTypeUnsupported(FORM)
    try:
        return PushMultipartParser(options.get("boundary", ""), max_segment_count=MOST_FIELDS, strict=True)
    except MultipartError as error:
        raise RequestError(f"The boundary in content-type can not be used: {error}.") from error


class _Reading:
    """Where the parser's events go."""

    def __init__(self, incoming: Incoming, limit: int) -> None:
        self.form = Form()
        self._incoming = incoming
        self._limit = limit
        self._name = ""
        self._in_file = False
        self._held = bytearray()
        """Of the file, what is not written yet."""
        self._text = bytearray()
        """Of another field."""

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        """One event."""
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is None:
            if not self._in_file:
                self.form.fields[self._name] = self._text.decode()
        elif self._in_file:
            self._held += event
            if self._incoming.size + len(self._held) > self._limit:
                raise _too_large(self._limit)
        else:
            self._text += event
            if len(self._text) > MOST_FIELD:
                raise RequestError(f"The field '{self._name[:40]}' is too long.", param=self._name[:40])

    async def write(self, at_least: int) -> None:
        """Write what is held, if it is so much."""
        if len(self._held) >= at_least:
            content, self._held = bytes(self._held), bytearray()
            await self._incoming.write(content)

    def _begin(self, part: MultipartSegment) -> None:
        self._name, self._text = part.name or "", bytearray()
        self._in_file = self._name == "file"
        if self._in_file:
            if self.form.filename is not None:
                raise RequestError("There is more than one file; send one at a time.", param="file")
            self.form.filename = clean_name(part.filename or "")


def clean_name(text: str) -> str:
    """The last part of a path, without what no name should have."""
    last = text.replace("\\", "/").rpartition("/")[2]
    printable = "".join(character for character in last if character.isprintable())
    return printable[:LONGEST_NAME] or "upload"


def _broken(error: Exception) -> RequestError:
    return RequestError(f"The body is no whole {FORM}: {error}.")


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(limit, "split the file")
