"""Pairs as a template asks for them: its pieces tokenized one by one, the document cut to the room that they leave."""

import re
from collections.abc import Sequence
from itertools import chain

import numpy as np
import tokenizers

from engine.configs.answers import DOCUMENT, Template
from engine.encoded import Encoded
from engine.errors import InputTooLong, QueryTooLong
from engine.tokenizer import CHARACTERS_PER_TOKEN, Tokenized, not_unicode

BLANKS = re.compile(r"\{(instruction|query)\}")
OUTPUTS = ("scores",)


def ask(
    tokenizer: tokenizers.Tokenizer,
    *,
    template: Template,
    query: str,
    documents: Sequence[str],
    instruction: str | None,
    limit: int,
    truncate: bool,
) -> Tokenized:
    """One sequence for each document, of at most `limit` tokens. Raises QueryTooLong where no document would fit."""
    if (fault := not_unicode([query, instruction or ""])) is not None:
        fault.index = -1
        raise fault
    if (fault := not_unicode(documents)) is not None:
        raise fault
    said = {
        "instruction": template.instructed.replace("{instruction}", instruction) if instruction else "",
        "query": query,
    }
    place = next(at for at, piece in enumerate(template.pieces) if piece.endswith(DOCUMENT))
    pieces = [BLANKS.sub(lambda blank: said[blank[1]], piece.removesuffix(DOCUMENT)) for piece in template.pieces]
    before = pieces[place]
    tokenizer.no_truncation()
    framed = [_ids(tokenizer, piece) for piece in pieces]
    taken = sum(map(len, framed))
    if taken >= limit:
        raise QueryTooLong(limit=limit, actual=taken)
    room = limit - taken + len(framed[place])
    head, tail = (list(chain.from_iterable(part)) for part in (framed[:place], framed[place + 1 :]))
    read = _read(tokenizer, [before + document for document in documents], room)
    truncated = [index for index, ids in enumerate(read) if len(ids) > room]
    if truncated and not truncate:
        whole = _ids(tokenizer, before + documents[truncated[0]])
        raise InputTooLong(index=truncated[0], limit=limit, actual=len(head) + len(whole) + len(tail))
    encoded = [Encoded(np.array([*head, *ids[:room], *tail], dtype=np.int32), outputs=OUTPUTS) for ids in read]
    return Tokenized(encoded, truncated)


def _ids(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def _read(tokenizer: tokenizers.Tokenizer, texts: Sequence[str], room: int) -> list[list[int]]:
    """The tokens of each text; of a very long one at least those of its beginning that there is room for."""
    most = 2 * room * CHARACTERS_PER_TOKEN
    read = [list(found.ids) for found in _encode(tokenizer, [text[:most] for text in texts])]
    for index, text in enumerate(texts):
        # Twice the room is far enough from the cut that the tokens kept are those of the whole text.
        if len(text) > most and len(read[index]) < 2 * room:
            read[index] = _ids(tokenizer, text)
    return read


def _encode(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> list[tokenizers.Encoding]:
    return list(tokenizer.encode_batch_fast(texts, add_special_tokens=False))
