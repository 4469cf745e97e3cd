"""What a request asks of a model, checked: how it queues, how wide its vectors are, what it can do."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from engine.catalog import ModelSpec
from engine.configs.head_spec import HeadSpec
from engine.errors import BadRequest, DimensionsUnsupported, TaskUnsupported
from engine.protocol import Lane, ModelWork


class Claim(NamedTuple):
    """How a request queues for the device."""

    flow: str
    weight: float
    lane: Lane
    patience: float | None
    deadline: float | None
    """On the runtime's clock."""


def claim_of(request: ModelWork, now: float) -> Claim:
    """How a request queues. Raises BadRequest for numbers that mean nothing."""
    patience = request.patience
    if patience is not None and not 0 <= patience < math.inf:
        raise BadRequest(f"A caller's patience is a number of seconds from 0 up, not {patience}.")
    if not 0 < request.weight < math.inf:
        raise BadRequest(f"A flow's weight is a number above 0, not {request.weight}.")
    return Claim(request.flow, request.weight, request.lane, patience, None if patience is None else now + patience)


ABILITIES: Mapping[str, tuple[str, ...]] = {
    "dense": ("embed", "rerank"),
    "sparse": ("embed", "rerank"),
    "multi": ("embed", "rerank"),
    "sequence": ("classify",),
    "answer": ("rerank",),
    "token_scores": ("extract",),
    "spans": ("extract",),
    "classes": ("classify",),
}
"""What a model can be asked to do, by its outputs; by the kind of head where that makes a difference."""
MAX_LABELS = 500
"""Of one request."""
MAX_PAIRS = 16_384
"""Of texts with labels, in one request."""


def head_of(spec: ModelSpec, output: str) -> HeadSpec | None:
    """The head that gives an output, if the model has it."""
    return next((head for head in spec.heads if head.output == output), None)


def abilities(spec: ModelSpec) -> list[str]:
    """The tasks that a model can do."""
    found = [task for head in spec.heads for task in ABILITIES.get(head.kind, ABILITIES.get(head.output, ()))]
    scores = head_of(spec, "scores")
    if scores is not None and scores.kind == "sequence" and len(scores.settings["labels"]) == 1:
        found.append("rerank")
    return list(dict.fromkeys(found))


def unable(spec: ModelSpec, task: str, why: str = "") -> TaskUnsupported:
    """The error for a task that a model can not do, naming those that it can."""
    return TaskUnsupported(f"The model can not {task}{why}; it can {', '.join(abilities(spec)) or 'do nothing'}.")


def check_labels(labels: Sequence[str]) -> None:
    """Raises BadRequest for labels that no text can be asked about."""
    if not labels:
        raise BadRequest("The list of labels is empty: give at least one, or leave it out.")
    if len(labels) > MAX_LABELS:
        raise BadRequest(f"{len(labels)} labels were given; a request takes at most {MAX_LABELS}.", limit=MAX_LABELS)
    if any(not label.strip() for label in labels):
        raise BadRequest("A label is empty.")
    if len(set(labels)) < len(labels):
        raise BadRequest("A label was given twice.")


def check_markers(labels: Sequence[str], markers: Sequence[str]) -> None:
    """Raises BadRequest for a label that would end its own part of a prompt."""
    for marker in markers:
        if any(marker in label for label in labels):
            raise BadRequest(f"A label has {marker} in it, which tells labels apart for this model.")


def can(spec: ModelSpec, outputs: Sequence[str]) -> None:
    """Raises TaskUnsupported, naming what the model can do, where it has not all of these outputs."""
    if lacking := [output for output in outputs if output not in spec.outputs]:
        raise TaskUnsupported(
            f"The model gives no {', '.join(lacking)} output; it gives {', '.join(spec.outputs)}, "
            f"so that it can {', '.join(abilities(spec))}."
        )
    if not outputs:
        raise BadRequest(f"No output is asked for; the model gives {', '.join(spec.outputs)}.")


def width_of(spec: ModelSpec, dimensions: int | None) -> int:
    """How wide the vectors shall be. Raises DimensionsUnsupported where the model was not trained to be cut so."""
    if dimensions is None or dimensions == spec.dimensions:
        return spec.dimensions
    if dimensions in spec.matryoshka:
        return dimensions
    trained = f"trained for {_widths(spec.matryoshka)}" if spec.matryoshka else "not trained to be cut"
    raise DimensionsUnsupported(
        f"The model gives {spec.dimensions} dimensions and is {trained}; {dimensions} were asked for.",
        limit=spec.dimensions,
        actual=dimensions,
    )


def _widths(widths: Sequence[int]) -> str:
    consecutive = len(widths) > 2 and widths[-1] - widths[0] == len(widths) - 1
    return f"{widths[0]} to {widths[-1]}" if consecutive else ", ".join(map(str, widths))
