"""What a request asks of a model, checked: how it queues, how wide its vectors are, which prompts its texts get."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from engine.catalog import ModelSpec
from engine.errors import BadRequest, DimensionsUnsupported, TaskUnsupported
from engine.protocol import Lane, ModelWork

DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""The first that a model has (sentence-transformers, `encode_document`)."""


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


def can(spec: ModelSpec, outputs: Sequence[str]) -> None:
    """Raises TaskUnsupported, naming what the model can do, where it has not all of these outputs."""
    if lacking := [output for output in outputs if output not in spec.outputs]:
        raise TaskUnsupported(f"The model gives no {', '.join(lacking)} output; it gives {', '.join(spec.outputs)}.")
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


def prompted(prompt: str, texts: list[str]) -> list[str]:
    """Texts with the prompt before each."""
    return [prompt + text for text in texts] if prompt else texts


def retrieval_prompts(spec: ModelSpec) -> tuple[str, str]:
    """The prompts that sentence-transformers' `encode_query` and `encode_document` put before a text."""
    document = next((spec.prompts[name] for name in DOCUMENT_PROMPTS if name in spec.prompts), spec.default_prompt)
    return spec.prompts.get("query", spec.default_prompt), document
