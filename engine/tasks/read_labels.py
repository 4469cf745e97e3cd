"""Labels of the request by a model that reads them beside the text (GLiClass)."""

from functools import partial

import numpy as np

from engine.configs.head_spec import HeadSpec
from engine.configs.label_reading import LabelReading
from engine.errors import BadRequest
from engine.prompts.labels import read_labelled
from engine.protocol import ClassifyReply, ClassifyRequest
from engine.tasks.asking import check_markers
from engine.tasks.labels import best, sigmoid, softmax
from engine.tasks.running import Visit


async def by_reading(visit: Visit, request: ClassifyRequest, head: HeadSpec) -> ClassifyReply:
    """Every text with all labels, of which none is ever cut; one label alone is right or wrong."""
    reading: LabelReading = head.settings["reading"]
    texts = [text for text in request.inputs if isinstance(text, str)]
    if request.labels is None:
        raise BadRequest("This model has no labels of its own: give some.")
    if len(texts) < len(request.inputs):
        raise BadRequest("With labels an input is one text, not a pair.")
    if request.hypothesis_template is not None:
        raise BadRequest("This model reads labels as they are: leave the hypothesis template out.")
    check_markers(request.labels, (reading.marker, reading.separator))
    read = partial(
        read_labelled,
        texts=texts,
        labels=request.labels,
        reading=reading,
        limit=visit.limit,
        truncate=request.truncate,
    )
    tokenized = await visit.read(read, len(texts))
    rows = await visit.run(tokenized.encoded)
    logits = np.stack([row["classes"] for row in rows])  # (B, labels)
    if not request.raw_scores:
        logits = sigmoid(logits) if request.multi_label or logits.shape[1] == 1 else softmax(logits)
    return ClassifyReply(
        labels=[best(request.labels, row, request) for row in logits],
        token_counts=list(map(len, tokenized.encoded)),
        truncated=tokenized.truncated,
        timings=visit.timings,
    )
