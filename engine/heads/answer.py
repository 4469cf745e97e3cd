"""The score of a decoder that answers yes or no: the logits of two words after the last token, less each other.

Nothing else of the vocabulary is computed, nor loaded: the head's weights are two rows of the output layer.
"""

from collections.abc import Sequence

from torch import nn

from engine.configs.head_spec import HeadSpec
from engine.heads.part import Head, Part
from engine.heads.scores import ends


class AnswerHead(Head):
    """One logit per text: that of `yes`, less that of `no` where the model has one."""

    def __init__(self, spec: HeadSpec, width: int) -> None:
        super().__init__()
        self.yes = nn.Linear(width, 1, bias=False)
        self.no = nn.Linear(width, 1, bias=False) if spec.settings["has_no"] else None

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B arrays (1,) float32."""
        x = part.hidden.index_select(0, ends(part))
        scores = self.yes(x).float()
        if self.no is not None:
            scores = scores - self.no(x).float()
        return list(scores.cpu().numpy())
