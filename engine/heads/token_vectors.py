"""A vector for every token of a text that counts: projected, to unit length (late interaction)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from engine.configs.head_spec import HeadSpec
from engine.encoded import Encoded, Marks
from engine.heads.chain import chain, renames
from engine.heads.part import Head, Part
from engine.heads.vectors import Vectors
from engine.weights import KeyMap


class TokenVectorsHead(Head):
    """The model's modules on every token, less the tokens that the text's marks leave out."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.steps = chain(spec.settings["steps"])

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B arrays (L', D) float32."""
        projected: Tensor = self.steps(part.hidden)
        rows: Vectors = projected.to("cpu", torch.float32).numpy()  # (T, D)
        texts = zip(part.encoded, pairwise(part.bounds.tolist()), strict=True)
        return [_counting(encoded, rows[start:end]) for encoded, (start, end) in texts]


def token_vectors_keys(spec: HeadSpec) -> KeyMap:
    """Of the modules' own tensors, which are named by their folders or files."""
    return KeyMap(renames=renames(spec.settings["steps"], "steps"))


def _counting(encoded: Encoded, rows: Vectors) -> Vectors:
    kept = encoded.marks.kept if isinstance(encoded.marks, Marks) else None
    return rows.copy() if kept is None else rows[kept]
