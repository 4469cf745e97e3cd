"""Classify: how well labels fit a text; the model's own labels, or those of the request with models that read them."""

import numpy as np

from engine.configs.head_spec import HeadSpec
from engine.errors import BadRequest
from engine.protocol import ClassifyReply, ClassifyRequest
from engine.tasks.asking import check_labels, head_of, unable
from engine.tasks.inference import by_inference, entailment_of
from engine.tasks.labels import Numbers, best, sigmoid, softmax
from engine.tasks.read_labels import by_reading
from engine.tasks.running import Running, Visit


async def classify(running: Running, request: ClassifyRequest) -> ClassifyReply:
    """Score labels for every input."""
    if not request.inputs:
        raise BadRequest("There is nothing to classify: the list of inputs is empty.")
    if request.top_k is not None and request.top_k < 1:
        raise BadRequest(f"top_k is a number from 1 up, not {request.top_k}.")
    if request.labels is not None:
        check_labels(request.labels)
    async with running.visit(request) as visit:
        if (reader := head_of(visit.model.spec, "classes")) is not None:
            return await by_reading(visit, request, reader)
        head = head_of(visit.model.spec, "scores")
        if head is None or head.kind != "sequence":
            raise unable(visit.model.spec, "classify")
        if request.labels is None:
            return await by_own_labels(visit, request, head)
        own = head.settings["labels"]
        if (entailment := entailment_of(own)) is None:
            why = f" by labels of the request, for none of its own is entailment: {', '.join(own[:10])}"
            raise unable(visit.model.spec, "classify", why)
        return await by_inference(visit, request, own, request.labels, entailment)


async def by_own_labels(visit: Visit, request: ClassifyRequest, head: HeadSpec) -> ClassifyReply:
    """The labels that a model was trained for (transformers' text-classification pipeline)."""
    tokenized = await visit.tokenize(request.inputs, truncate=request.truncate, outputs=("scores",))
    rows = await visit.run(tokenized.encoded)
    logits = np.stack([row["scores"] for row in rows])  # (B, labels)
    scores = logits if request.raw_scores else _probabilities(logits, head.settings["problem"])
    return ClassifyReply(
        labels=[best(head.settings["labels"], row, request) for row in scores],
        token_counts=list(map(len, tokenized.encoded)),
        truncated=tokenized.truncated,
        timings=visit.timings,
    )


def _probabilities(logits: Numbers, problem: str | None) -> Numbers:
    """Softmax; sigmoid where several labels, or the only one, may be right; a regression's numbers stay as they are."""
    if problem == "regression":
        return logits
    if problem == "multi_label_classification" or logits.shape[1] == 1:
        return sigmoid(logits)
    return softmax(logits)
