"""Embed: texts to vectors of every kind that the model gives, all asked-for kinds from one pass."""

import numpy as np

from engine.errors import BadRequest
from engine.heads.quantize import Quantized, quantize
from engine.heads.token_weights import Sparse
from engine.heads.vectors import narrow, stacked
from engine.prompts.texts import reading_of
from engine.protocol import EmbedReply, EmbedRequest, SparseVector
from engine.tasks.asking import can, width_of
from engine.tasks.running import Running
from engine.tasks.texts import read, rows_of


async def embed(running: Running, request: EmbedRequest) -> EmbedReply:
    """Every output that is asked for, of every input."""
    if not request.inputs:
        raise BadRequest("There is nothing to embed: the list of inputs is empty.")
    async with running.visit(request) as visit:
        spec = visit.model.spec
        can(spec, request.outputs)
        width = width_of(spec, request.dimensions)
        task = visit.task or request.task
        reading = reading_of(spec, input_type=request.input_type, task=task, prompt_name=request.prompt_name)
        texts = await read(visit, request.inputs, reading, truncate=request.truncate, outputs=request.outputs)
        (rows,) = await rows_of(visit, texts)
    dense = Quantized(np.empty(0, dtype=np.float32))
    if "dense" in request.outputs:
        vectors = narrow(stacked(rows), width, renormalize=spec.normalize)
        dense = quantize(vectors, request.output_dtype, normalized=spec.normalize)
    many = "multi" in request.outputs
    return EmbedReply(
        dimensions=width,
        vectors=dense.rows.tobytes(),
        scale=dense.scale,
        offset=dense.offset,
        sparse=[_sparse(row["sparse"]) for row in rows] if "sparse" in request.outputs else None,
        multi=[np.ascontiguousarray(row["multi"], dtype="<f4").tobytes() for row in rows] if many else None,
        multi_dimensions=rows[0]["multi"].shape[1] if many else None,
        token_counts=list(map(len, texts.encoded)),
        truncated=texts.truncated,
        timings=visit.timings,
    )


def _sparse(vector: Sparse) -> SparseVector:
    indices, values = vector
    return SparseVector(indices.astype("<i4").tobytes(), values.astype("<f4").tobytes())
