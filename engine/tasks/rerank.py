"""Rerank: one score per document of a query, by what the model can do."""

from engine.asking import can, prompted, retrieval_prompts
from engine.encoded import DENSE
from engine.errors import BadRequest
from engine.heads.vectors import cosine, stacked
from engine.protocol import RerankReply, RerankRequest
from engine.tasks.running import Running, Visit


async def rerank(running: Running, request: RerankRequest) -> RerankReply:
    """Score every document: by the first way of RANKINGS that the model's outputs allow."""
    if not request.documents:
        raise BadRequest("There is nothing to rank: the list of documents is empty.")
    async with running.visit(request) as visit:
        return await by_cosine(visit, request)


async def by_cosine(visit: Visit, request: RerankRequest) -> RerankReply:
    """The cosine of the document's vector with the query's."""
    spec = visit.model.spec
    can(spec, DENSE)
    query_prompt, document_prompt = retrieval_prompts(spec)
    texts = [query_prompt + request.query, *prompted(document_prompt, request.documents)]
    try:
        tokenized = await visit.tokenize(texts, truncate=request.truncate)
        vectors = stacked(await visit.run(tokenized.encoded))
    except BadRequest as error:
        error.index = error.index - 1 if error.index is not None else None
        raise
    return RerankReply(
        scores=cosine(vectors[:1], vectors[1:]).tolist(),
        tokens=sum(map(len, tokenized.encoded)),
        truncated=[index - 1 for index in tokenized.truncated],
        timings=visit.timings,
    )
