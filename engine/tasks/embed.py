"""Embed: texts to vectors, under the model's own prompts."""

import numpy as np

from engine.asking import can, prompted, width_of
from engine.errors import BadRequest
from engine.heads.vectors import narrow, stacked
from engine.protocol import EmbedReply, EmbedRequest
from engine.tasks.running import Running


async def embed(running: Running, request: EmbedRequest) -> EmbedReply:
    """One vector per input."""
    if not request.inputs:
        raise BadRequest("There is nothing to embed: the list of inputs is empty.")
    async with running.visit(request) as visit:
        spec = visit.model.spec
        can(spec, request.outputs)
        width = width_of(spec, request.dimensions)
        texts = prompted(spec.default_prompt, request.inputs)
        tokenized = await visit.tokenize(texts, truncate=request.truncate, outputs=request.outputs)
        rows = await visit.run(tokenized.encoded)
        vectors = narrow(stacked(rows), width, renormalize=spec.normalize)
    return EmbedReply(
        dimensions=width,
        vectors=np.ascontiguousarray(vectors, dtype="<f4").tobytes(),
        token_counts=list(map(len, tokenized.encoded)),
        truncated=tokenized.truncated,
        timings=visit.timings,
    )
