"""Spans of a text that labels of the request fit, by a model that reads labels and text together (GLiNER)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from engine.configs.head_spec import HeadSpec
from engine.configs.label_reading import WordReading
from engine.encoded import Encoded, Row
from engine.errors import BadRequest
from engine.heads.spans import chosen, joined, rows_of
from engine.prompts.words import SpanMarks, read_words
from engine.protocol import Entity, ExtractReply, ExtractRequest
from engine.tasks.asking import check_labels, check_markers
from engine.tasks.running import Visit
from engine.work import threads


async def label_spans(visit: Visit, request: ExtractRequest, head: HeadSpec) -> ExtractReply:
    """All windows of all inputs in one turn on the device; spans are chosen among those of all of a text's windows."""
    reading: WordReading = head.settings["reading"]
    if request.labels is None:
        raise BadRequest("This model has no labels of its own: give some.")
    check_labels(request.labels)
    check_markers(request.labels, (reading.marker, reading.separator))
    read = partial(
        read_words,
        texts=request.inputs,
        labels=request.labels,
        thresholds=_thresholds(request, request.labels, head.settings["threshold"]),
        reading=reading,
        limit=visit.limit,
        truncate=request.truncate,
    )
    tokenized = await visit.read(read, len(request.inputs))
    rows = await visit.run(tokenized.encoded) if tokenized.encoded else []
    entities = await threads(partial(_entities, request, request.labels, tokenized.encoded, rows))
    counts = np.zeros(len(request.inputs), dtype=np.int64)
    for sequence in tokenized.encoded:
        counts[sequence.marks.text] += len(sequence)
    return ExtractReply(
        entities=entities,
        token_counts=counts.tolist(),
        truncated=tokenized.truncated,
        timings=visit.timings,
    )


def _thresholds(request: ExtractRequest, labels: Sequence[str], usual: float) -> NDArray[np.float32]:
    """(C,): each label's own, the request's, or the model's."""
    own: Mapping[str, float] = request.thresholds or {}
    if unknown := sorted(set(own) - set(labels)):
        raise BadRequest(f"There is a threshold for {', '.join(unknown[:10])}, which is none of the labels.")
    thresholds = [own.get(label, usual if request.threshold is None else request.threshold) for label in labels]
    if wrong := [threshold for threshold in thresholds if not 0 <= threshold <= 1]:
        raise BadRequest(f"A threshold is a number from 0 to 1, not {wrong[0]}.")
    return np.array(thresholds, dtype=np.float32)


def _entities(
    request: ExtractRequest, labels: Sequence[str], encoded: Sequence[Encoded], rows: Sequence[Row]
) -> list[list[Entity]]:
    """Of each input what is chosen among the candidates of its windows."""
    entities: list[list[Entity]] = [[] for _ in request.inputs]
    for index, windows in groupby(zip(encoded, rows, strict=True), key=lambda window: window[0].marks.text):
        entities[index].extend(_of_text(request, labels, request.inputs[index], list(windows)))
    return entities


def _of_text(
    request: ExtractRequest, labels: Sequence[str], text: str, windows: Sequence[tuple[Encoded, Row]]
) -> Iterator[Entity]:
    marks: list[SpanMarks] = [sequence.marks for sequence, _ in windows]
    parts = ((row["spans"], one.first_word, one.first_label) for one, (_, row) in zip(marks, windows, strict=True))
    places = np.zeros((max(one.first_word + len(one.words) for one in marks), 2), dtype=np.int64)
    for one in marks:
        places[one.first_word : one.first_word + len(one.words)] = one.characters
    found = chosen(joined(parts), flat=request.flat, multi_label=request.multi_label)
    for first, last, label, score in rows_of(found):
        start, end = int(places[first, 0]), int(places[last, 1])
        yield Entity(start, end, text[start:end], labels[label], score)
