"""Labels of the request by natural language inference: whether the text entails that it is about the label.

As transformers' zero-shot-classification pipeline (Yin et al. 2019), all texts with all labels in one packed batch.
"""

from collections.abc import Sequence

import numpy as np

from engine.errors import BadRequest
from engine.protocol import ClassifyReply, ClassifyRequest
from engine.tasks.asking import MAX_PAIRS
from engine.tasks.labels import Numbers, best, softmax
from engine.tasks.running import Visit

TEMPLATE = "This example is {}."
BLANK = "{}"


def entailment_of(labels: Sequence[str]) -> int | None:
    """The place of the label that says so, if a model has one."""
    return next((place for place, label in enumerate(labels) if label.lower().startswith("entail")), None)


async def by_inference(
    visit: Visit, request: ClassifyRequest, own: Sequence[str], labels: Sequence[str], entailment: int
) -> ClassifyReply:
    """Each text with each label's hypothesis, which is never cut; `own` are the model's labels."""
    template = TEMPLATE if request.hypothesis_template is None else request.hypothesis_template
    if BLANK not in template:
        raise BadRequest(f"The hypothesis template {template!r} has no {BLANK} where a label would stand.")
    if any(not isinstance(text, str) for text in request.inputs):
        raise BadRequest("With labels an input is one text, not a pair.")
    if len(request.inputs) * len(labels) > MAX_PAIRS:
        raise BadRequest(
            f"{len(request.inputs)} inputs with {len(labels)} labels are more than {MAX_PAIRS} pairs.", limit=MAX_PAIRS
        )
    pairs = [(str(text), template.replace(BLANK, label)) for text in request.inputs for label in labels]
    try:
        tokenized = await visit.tokenize(pairs, truncate=request.truncate, outputs=("scores",), cut="only_first")
    except BadRequest as error:
        error.index = error.index // len(labels) if error.index is not None else None
        raise
    rows = await visit.run(tokenized.encoded)
    logits = np.stack([row["scores"] for row in rows]).reshape(len(request.inputs), len(labels), len(own))
    counts = np.array(list(map(len, tokenized.encoded))).reshape(len(request.inputs), len(labels)).sum(axis=1)
    return ClassifyReply(
        labels=[best(labels, row, request) for row in _scores(logits, entailment, request)],
        token_counts=counts.tolist(),
        truncated=sorted({index // len(labels) for index in tokenized.truncated}),
        timings=visit.timings,
    )


def _scores(logits: Numbers, entailment: int, request: ClassifyRequest) -> Numbers:
    """(B, labels, own) -> (B, labels): against the other labels, or each against its contradiction."""
    entailed = logits[:, :, entailment]
    if request.raw_scores:
        return entailed
    if request.multi_label or logits.shape[1] == 1:
        contradiction = -1 if entailment == 0 else 0
        return softmax(logits[:, :, [contradiction, entailment]])[:, :, 1]
    return softmax(entailed)
