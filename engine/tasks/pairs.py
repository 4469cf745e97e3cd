"""Rerank by reading the query and a document together: cross-encoders, and decoders that are asked for a word."""

from functools import partial

import numpy as np

from engine.configs.answers import TEMPLATES
from engine.configs.head_spec import HeadSpec
from engine.errors import BadRequest, InputTooLong, QueryTooLong
from engine.prompts.pairs import ask
from engine.protocol import RerankReply, RerankRequest
from engine.tasks.asking import head_of, unable
from engine.tasks.labels import ACTIVATIONS
from engine.tasks.running import Visit
from engine.tokenizer import Tokenized

SCORES = ("scores",)
NO_INSTRUCTION = "This model reads no instruction: leave it out."
QUERY = -1
"""The place of the query among documents."""


async def by_pairs(visit: Visit, request: RerankRequest) -> RerankReply:
    """One logit of each pair, through the activation that the model's files name."""
    spec = visit.model.spec
    head = head_of(spec, "scores")
    if head is None or (head.kind == "sequence" and len(head.settings["labels"]) != 1):
        raise unable(spec, "rerank", " by pairs, for it scores several labels")
    tokenized = await (_asked(visit, request, head) if head.kind == "answer" else _paired(visit, request))
    rows = await visit.run(tokenized.encoded)
    logits = np.concatenate([row["scores"] for row in rows])  # (B,)
    return RerankReply(
        scores=ACTIVATIONS[head.settings["activation"]](logits).tolist(),
        tokens=sum(map(len, tokenized.encoded)),
        truncated=tokenized.truncated,
        timings=visit.timings,
    )


async def _paired(visit: Visit, request: RerankRequest) -> Tokenized:
    """By the tokenizer's own rule for two texts; the longer one is cut (sentence-transformers' CrossEncoder)."""
    if request.instruction is not None:
        raise BadRequest(NO_INSTRUCTION)
    frame = visit.model.tokenizer.pair_frame
    try:
        alone = await visit.tokenize([request.query], truncate=False, outputs=SCORES)
    except InputTooLong as error:
        raise QueryTooLong(limit=visit.limit, actual=(error.actual or 0) + frame) from error
    except BadRequest as error:
        error.index = QUERY
        raise
    if len(alone.encoded[0]) + frame >= visit.limit:
        raise QueryTooLong(limit=visit.limit, actual=len(alone.encoded[0]) + frame)
    pairs = [(request.query, document) for document in request.documents]
    return await visit.tokenize(pairs, truncate=request.truncate, outputs=SCORES)


async def _asked(visit: Visit, request: RerankRequest, head: HeadSpec) -> Tokenized:
    """By the template of the model's lineage; the document alone is cut."""
    template = TEMPLATES[head.settings["family"]]
    if request.instruction is not None and not template.takes_instructions:
        raise BadRequest(NO_INSTRUCTION)
    job = partial(
        ask,
        template=template,
        query=request.query,
        documents=request.documents,
        instruction=request.instruction or visit.model.spec.default_prompt or template.instruction,
        limit=visit.limit,
        truncate=request.truncate,
    )
    return await visit.read(job, len(request.documents))
