"""Offers to speak another protocol, which a server may ignore (RFC 9110 §7.8): a request without its offer."""

from collections.abc import Sequence

OFFERS = frozenset({b"upgrade", b"http2-settings"})


def without_offer(request_line: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A head without what offers an upgrade; names of headers are in small letters."""
    lines = [request_line]
    for name, value in headers:
        if name == b"connection":
            tokens = [token for token in value.split(b",") if token.strip().lower() not in OFFERS]
            lines.append(b"connection: " + b",".join(tokens))
        elif name not in OFFERS:
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])
