"""One vector per text: pooled, through the model's modules before and after that."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.configs.head_spec import HeadSpec
from engine.heads.chain import chain, renames
from engine.heads.part import Head, Part
from engine.heads.pooling import POOLINGS, pooled_tokens
from engine.weights import KeyMap


class DenseHead(Head):
    """Pooling in float32, then what follows it."""

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.before = chain(spec.settings["before"])
        self.after = chain(spec.settings["after"])
        self._poolings = [POOLINGS[name] for name in spec.settings["poolings"]]
        self._with_prompts = bool(spec.settings["include_prompt"])

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B vectors (D,) float32."""
        hidden: Tensor = self.before(part.hidden)
        pooled = pooled_tokens(part, hidden.float(), with_prompts=self._with_prompts)
        vectors: Tensor = self.after(torch.cat([pooling(pooled) for pooling in self._poolings], dim=1))  # (B, D)
        return list(vectors.to("cpu", torch.float32).numpy())


def dense_keys(spec: HeadSpec) -> KeyMap:
    """Of the modules' own tensors, which are named by their folders."""
    return KeyMap(renames=(*renames(spec.settings["before"], "before"), *renames(spec.settings["after"], "after")))
