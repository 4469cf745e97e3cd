"""Rerank: one score per document of a query, by what the model can do."""

from collections.abc import Callable, Mapping, Sequence

from engine.encoded import Row
from engine.errors import BadRequest
from engine.heads.similarity import max_sim, sparse_dot
from engine.heads.vectors import cosine, stacked
from engine.prompts.texts import reading_of
from engine.protocol import RerankReply, RerankRequest
from engine.tasks.asking import unable
from engine.tasks.pairs import by_pairs
from engine.tasks.running import Running, Visit
from engine.tasks.texts import read, rows_of
from engine.work import threads


async def rerank(running: Running, request: RerankRequest) -> RerankReply:
    """Score every document, in the way that the model was trained for."""
    if not request.documents:
        raise BadRequest("There is nothing to rank: the list of documents is empty.")
    async with running.visit(request) as visit:
        if "scores" in visit.model.spec.outputs:
            return await by_pairs(visit, request)
        return await by_vectors(visit, request)


Similarity = Callable[[Visit, Row, Sequence[Row]], list[float]]
"""Of a query with each document, from what the model says of them."""


def by_cosine(visit: Visit, query: Row, documents: Sequence[Row]) -> list[float]:  # noqa: ARG001 - a Similarity
    """Of dense vectors."""
    scores: list[float] = cosine(stacked([query]), stacked(documents)).tolist()
    return scores


def by_max_sim(visit: Visit, query: Row, documents: Sequence[Row]) -> list[float]:
    """Of a vector for every token."""
    reading = next(head.settings["reading"] for head in visit.model.spec.heads if head.output == "multi")
    return max_sim(query["multi"], [document["multi"] for document in documents], mean=reading.mean)


def by_words(visit: Visit, query: Row, documents: Sequence[Row]) -> list[float]:  # noqa: ARG001 - a Similarity
    """Of weights of words."""
    return sparse_dot(query["sparse"], [document["sparse"] for document in documents])


SIMILARITIES: Mapping[str, Similarity] = {"dense": by_cosine, "multi": by_max_sim, "sparse": by_words}
"""By the output that they compare; the first that a model gives is taken."""


async def by_vectors(visit: Visit, request: RerankRequest) -> RerankReply:
    """By the similarity of what the model says of the query and of each document, each read by itself."""
    spec = visit.model.spec
    output = next((output for output in SIMILARITIES if output in spec.outputs), None)
    if output is None:
        raise unable(spec, "rerank")
    if request.instruction is not None:
        raise BadRequest("This model reads no instruction: leave it out.")
    outputs, truncate = (output,), request.truncate
    try:
        query = await read(
            visit, [request.query], reading_of(spec, input_type="query"), truncate=truncate, outputs=outputs
        )
    except BadRequest as error:
        error.index = -1 if error.index is not None else None
        raise
    documents = await read(
        visit, request.documents, reading_of(spec, input_type="document"), truncate=truncate, outputs=outputs
    )
    (asked,), rows = await rows_of(visit, query, documents)
    return RerankReply(
        scores=await threads(lambda: SIMILARITIES[output](visit, asked, rows)),
        tokens=sum(map(len, (*query.encoded, *documents.encoded))),
        truncated=[*(-1 for _ in query.truncated), *documents.truncated],
        timings=visit.timings,
    )
