"""Turns cl100k_base token arrays back into text.

LangChain's default OpenAI client tokenizes on its side, with cl100k_base whatever the model is called; the text is what
the served model needs. `cl100k_base.xz` holds the published vocabulary (SHA-256 of the original file:
223921b7…65b2a7; a test rebuilds it and compares): 100,256 lengths of one byte, then the tokens' bytes in order of their
ids. Decoding is all that is asked for, so the table costs two megabytes where a whole tokenizer would cost fifty.
"""

import lzma
from collections.abc import Sequence
from functools import cache
from importlib import resources
from itertools import accumulate

from gateway.errors import RequestError

ORDINARY_TOKENS = 100_256
SPECIAL_TOKENS = {
    100_257: b"<|endoftext|>",
    100_258: b"<|fim_prefix|>",
    100_259: b"<|fim_middle|>",
    100_260: b"<|fim_suffix|>",
    100_276: b"<|endofprompt|>",
}


def decode(ids: Sequence[int], *, index: int = 0) -> str:
    """Give the text of one token array; `index` names the input in errors.

    A client that cut its text into arrays may have split a character: the broken half becomes U+FFFD.

    Raises RequestError for an id that cl100k_base does not have.
    """
    tokens, offsets = vocabulary()
    pieces = []
    for token in ids:
        if 0 <= token < ORDINARY_TOKENS:
            pieces.append(tokens[offsets[token] : offsets[token + 1]])
        elif token in SPECIAL_TOKENS:
            pieces.append(SPECIAL_TOKENS[token])
        else:
            raise RequestError(
                f"Invalid 'input[{index}]': {token} is not a token id of cl100k_base, the encoding of OpenAI's "
                "embedding models. Send the text itself; in LangChain set check_embedding_ctx_length=False.",
                param="input",
                code="invalid_token",
            )
    return b"".join(pieces).decode("utf-8", errors="replace")


@cache
def vocabulary() -> tuple[bytes, tuple[int, ...]]:
    """All tokens' bytes in a row, and where each begins; read once, when the first token array arrives."""
    packed = lzma.decompress(resources.files("gateway.api").joinpath("cl100k_base.xz").read_bytes())
    lengths, tokens = packed[:ORDINARY_TOKENS], packed[ORDINARY_TOKENS:]
    return tokens, tuple(accumulate(lengths, initial=0))
