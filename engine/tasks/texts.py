"""Texts of an embedding model, read as its heads want them: under their prompt, marked, expanded; and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.configs.head_spec import HeadSpec
from engine.configs.token_reading import Expansion, TokenReading
from engine.encoded import Encoded, Marks, Row
from engine.errors import BadRequest
from engine.heads.vocabulary import VocabularyHead
from engine.prompts.texts import Reading
from engine.protocol import InputType
from engine.tasks.running import Visit
from engine.tokenizer import Tokenized, Tokenizer
from engine.work import threads


@dataclass(frozen=True, slots=True)
class Texts(Tokenized):
    """Texts of one side."""

    table: VocabularyHead | None = None
    """What weighs their words without the network; None: the network reads them."""


async def read(
    visit: Visit, texts: Sequence[str], reading: Reading, *, truncate: bool, outputs: tuple[str, ...]
) -> Texts:
    """Texts of one side, asking for `outputs`."""
    if (table := _table(visit, reading, outputs)) is not None:
        prompted = [reading.prompt + text for text in texts]
        words = await visit.tokenize(prompted, truncate=truncate, outputs=outputs, specials=False)
        return Texts(words.encoded, words.truncated, table)
    tokenized = await _tokenize(visit, texts, reading, truncate=truncate, outputs=outputs)
    return Texts(tokenized.encoded, tokenized.truncated)


async def rows_of(visit: Visit, *sides: Texts) -> list[list[Row]]:
    """What the model says of every text, one list for each side: of all that it reads, in one turn on the device."""
    read_all = [encoded for texts in sides if texts.table is None for encoded in texts.encoded]
    said = iter(await visit.run(read_all)) if read_all else iter(())
    return [
        [next(said) for _ in texts.encoded] if texts.table is None else await _looked_up(texts.table, texts.encoded)
        for texts in sides
    ]


async def _looked_up(table: VocabularyHead, encoded: Sequence[Encoded]) -> list[Row]:
    return await threads(lambda: [{"sparse": table.look_up(words.ids)} for words in encoded])


def _table(visit: Visit, reading: Reading, outputs: tuple[str, ...]) -> VocabularyHead | None:
    if outputs != ("sparse",) or reading.side != "query":
        return None
    head = visit.model.network.heads["sparse"]
    return head if isinstance(head, VocabularyHead) and head.idf is not None else None


async def _tokenize(
    visit: Visit, texts: Sequence[str], reading: Reading, *, truncate: bool, outputs: tuple[str, ...]
) -> Tokenized:
    """What gives many vectors and is not told the side reads a document."""
    spec, tokenizer = visit.model.spec, visit.model.tokenizer
    heads = {head.output: head for head in spec.heads if head.output in outputs}
    many: TokenReading = heads["multi"].settings["reading"] if "multi" in heads else TokenReading()
    side: InputType = reading.side or "document"
    marker, prompt = _marker(tokenizer, many.query_prefix if side == "query" else many.document_prefix, reading.prompt)
    expansion = many.expansion if side == "query" else None
    limit = _limit(visit, many, side, markers=int(marker is not None))
    unused = _ids(tokenizer, heads["sparse"].settings.get("unused", ())) if "sparse" in heads else []
    skipped = _ids(tokenizer, many.skipped) if side in many.skips_in else []
    filling = _filling(tokenizer, expansion)

    def finish(encoded: Encoded) -> Encoded:
        ids = encoded.ids
        if marker is not None:
            ids = np.insert(ids, min(tokenizer.opening, len(ids)), marker).astype(np.int32)
        kept = np.isin(ids, skipped, invert=True)
        if many.skips_first:
            kept[:1] = False
        filled = 0 if expansion is None else max(0, min(expansion.length, visit.limit) - len(ids))
        marks = Marks(
            prompt=tokenizer.beginning(prompt) if prompt and _leaves_prompts_out(heads.get("dense")) else 0,
            words=np.isin(ids, unused, invert=True) if unused else None,
            kept=None if kept.all() else np.append(kept, np.ones(filled, dtype=np.bool_)),
        )
        return replace(
            encoded,
            ids=np.append(ids, np.full(filled, filling, dtype=np.int32)),
            unseen=0 if expansion is None or expansion.attended else filled,
            marks=marks,
        )

    return await visit.tokenize(
        [prompt + text for text in texts] if prompt else texts,
        truncate=truncate,
        outputs=outputs,
        limit=limit,
        finish=finish,
    )


def _marker(tokenizer: Tokenizer, prefix: str, prompt: str) -> tuple[int | None, str]:
    """The token that says what a text is, and the prompt that is left; None: there is none, or it is plain text."""
    prompt = prompt.removeprefix(prefix)
    if not prefix.strip():
        return None, prompt
    first = prefix.split(maxsplit=1)[0]
    for token, rest in ((prefix, ""), (first, prefix.partition(first)[2].strip())):
        if (found := tokenizer.token_id(token)) is not None:
            return found, rest + prompt
    return None, prefix + prompt


def _limit(visit: Visit, many: TokenReading, side: InputType, *, markers: int) -> int:
    """Tokens of a text, special ones included, less its markers."""
    length = many.query_length if side == "query" else many.document_length
    if side == "query" and many.expansion is not None:
        fixed, least = many.expansion.fixed, many.expansion.length
        length = least if fixed else None if length is None else max(length, least)
    limit = visit.limit if length is None else min(length, visit.limit)
    if limit - markers < visit.model.tokenizer.opening + 1:
        raise BadRequest(f"A limit of {limit} tokens leaves no room for a text.")
    return limit - markers


def _ids(tokenizer: Tokenizer, tokens: Sequence[str]) -> list[int]:
    """Those of the tokens that the tokenizer has."""
    return [found for token in tokens if (found := tokenizer.token_id(token)) is not None]


def _filling(tokenizer: Tokenizer, expansion: Expansion | None) -> int:
    if expansion is None:
        return 0
    if (found := tokenizer.token_id(expansion.token)) is None:
        raise BadRequest(f"The model expands queries by {expansion.token!r}, and its tokenizer has no such token.")
    return found


def _leaves_prompts_out(head: HeadSpec | None) -> bool:
    return head is not None and not head.settings["include_prompt"]
