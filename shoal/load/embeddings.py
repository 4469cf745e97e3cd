"""Requests for `POST /v1/embeddings`, asking for base64 as OpenAI's own client does, and what their replies report."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from shoal.failures import StartFailure


class _Usage(msgspec.Struct):
    prompt_tokens: int


class _Reply(msgspec.Struct):
    usage: _Usage


_decoder = msgspec.json.Decoder(_Reply)


def count_tokens(body: bytes) -> int:
    """Tokens that a reply's `usage` reports; the vectors are skipped, not decoded."""
    return _decoder.decode(body).usage.prompt_tokens


def embedding_requests(url: str, key: str, model: str, texts: Sequence[str], batch: int) -> list[bytes]:
    """Requests of `batch` texts each, in the order of the texts; what is left over at the end is not used.

    `url` is the server's address with or without `/v1`. Raises StartFailure at a URL or key that can not be sent.
    """
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise StartFailure(f"{url!r} is not the address of a server. It looks like http://127.0.0.1:8080.")
    if not (key.isascii() and key.isprintable()):
        raise StartFailure("The API key has characters that no key has. Paste it again.")
    path = address.path.rstrip("/").removesuffix("/v1") + "/v1/embeddings"
    host = address.netloc.rpartition("@")[2]
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    bodies = (
        msgspec.json.encode({"model": model, "input": texts[start : start + batch], "encoding_format": "base64"})
        for start in range(0, len(texts) - batch + 1, batch)
    )
    return [f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
