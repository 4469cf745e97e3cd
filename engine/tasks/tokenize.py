"""Tokenize: the tokens that a model reads of a text, whole and one by one. Nothing runs on the device."""

from collections.abc import Sequence
from functools import partial

import tokenizers

from engine.errors import BadRequest
from engine.protocol import Token, TokenizeReply, TokenizeRequest
from engine.tasks.running import Running
from engine.tokenizer import not_unicode

MAX_CHARACTERS = 2**20
"""Of one request: a token is many times as long when it is described as in the text."""


async def tokenize(running: Running, request: TokenizeRequest) -> TokenizeReply:
    """Describe the tokens of every input. Raises BadRequest for none and for too many."""
    if not request.inputs:
        raise BadRequest("There is nothing to tokenize: the list of inputs is empty.")
    if (length := sum(map(len, request.inputs))) > MAX_CHARACTERS:
        message = f"The inputs have {length} characters; of one request at most {MAX_CHARACTERS} are tokenized."
        raise BadRequest(message, limit=MAX_CHARACTERS, actual=length)
    async with running.visit(request) as visit:
        model = visit.model
        read = partial(described, texts=request.inputs, lowercase=model.spec.lowercase, specials=request.special_tokens)
        return TokenizeReply(await model.tokenizer.read(read, running.tokenizing), visit.timings)


def described(
    tokenizer: tokenizers.Tokenizer, *, texts: Sequence[str], lowercase: bool, specials: bool
) -> list[list[Token]]:
    """The tokens of every text; those of a model that reads small letters are of the text in small letters."""
    if (fault := not_unicode(texts)) is not None:
        raise fault
    seen = [text.lower() for text in texts] if lowercase else texts
    tokenizer.no_truncation()
    encodings = tokenizer.encode_batch(list(seen), add_special_tokens=specials)
    return [_tokens(text, encoding) for text, encoding in zip(seen, encodings, strict=True)]


def _tokens(text: str, encoding: tokenizers.Encoding) -> list[Token]:
    parts = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    return [
        Token(number, name, True) if special else Token(number, text[start:stop], False, start, stop)
        for number, name, special, (start, stop) in parts
    ]
