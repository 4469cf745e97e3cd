"""Scores of labels: what every family has between its hidden states and its logits, as data, and two heads over it.

One logit per label, of the whole text or of each of its tokens. A family differs in which token speaks for the text,
in the layers before the last one, and in their names. As transformers' `…ForSequenceClassification` and
`…ForTokenClassification`; dropout does nothing here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.configs.head_spec import HeadSpec
from engine.heads.part import Head, Part
from engine.layers.activation import activation
from engine.weights import KeyMap

PREFIXES = ("nomic_bert.", "bert.", "new.", "gte.")
"""Of bodies that keep the pooler, the layer before the last, among their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One family's way from hidden states to logits. Names are the checkpoint's."""

    out: str = "classifier"
    """The last layer."""
    out_bias: bool = True
    dense: str | None = None
    """The layer before it, if any, of the hidden size."""
    dense_bias: bool = True
    activation: str = "tanh"
    """Of that layer; the config may name another under `activation_key`."""
    activation_key: str = ""
    norm: str | None = None
    """After that activation."""
    last: bool = False
    """The last token speaks for the text, as decoders have it; otherwise its first one, or what the config says."""


POOLER = Recipe(dense="pooler.dense")
INNER = Recipe(dense="classifier.dense", out="classifier.out_proj")
DECODER = Recipe(out="score", out_bias=False, last=True)
GATED = Recipe(
    dense="head.dense", dense_bias=False, activation="gelu", activation_key="classifier_activation", norm="head.norm"
)

SEQUENCE: Mapping[str, Recipe] = {
    "bert": POOLER,
    "roberta": INNER,
    "jina_v3": INNER,
    "distilbert": Recipe(dense="pre_classifier", activation="relu"),
    "electra": Recipe(dense="classifier.dense", out="classifier.out_proj", activation="gelu"),
    "mpnet": INNER,
    "nomic_bert": POOLER,
    "gte": POOLER,
    "jina_bert": POOLER,
    "modernbert": GATED,
    "deberta_v2": Recipe(dense="pooler.dense", activation="gelu", activation_key="pooler_hidden_act"),
    **dict.fromkeys(("gemma", "gemma3", "qwen2", "qwen3", "mistral", "llama"), DECODER),
}
"""Labels of texts, by family."""
TOKENS: Mapping[str, Recipe] = {
    **dict.fromkeys(SEQUENCE, Recipe()),
    "modernbert": GATED,
    **dict.fromkeys(("gemma", "qwen2", "qwen3", "mistral", "llama"), Recipe(out="score")),
}
"""Labels of tokens, by family."""


class Scorer(nn.Module):
    """(N, H) -> (N, labels) float32."""

    def __init__(self, recipe: Recipe, labels: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.dense = self.norm = None
        if recipe.dense is not None:
            bias = bool(config.get("classifier_bias", recipe.dense_bias)) if recipe.norm else recipe.dense_bias
            self.dense = nn.Linear(width, width, bias=bias)
            self.activation = activation(config.get(recipe.activation_key) or recipe.activation)
        if recipe.norm is not None:
            self.norm = nn.LayerNorm(width, eps=config["layer_norm_eps"], bias=bool(config.get("norm_bias")))
        self.out = nn.Linear(width, labels, bias=recipe.out_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H) -> (N, labels) float32; the layers run in the network's type."""
        if self.dense is not None:
            x = self.activation(self.dense(x))
        if self.norm is not None:
            x = self.norm(x)
        logits: Tensor = self.out(x)
        return logits.float()


class SequenceHead(Head):
    """One row of logits per text."""

    def __init__(self, spec: HeadSpec, config: Mapping[str, Any]) -> None:
        super().__init__()
        recipe = SEQUENCE[spec.settings["family"]]
        self._last = recipe.last
        self._mean = spec.settings.get("pooling") == "mean"
        self._padding: int | None = config.get("pad_token_id")
        self.scorer = Scorer(recipe, len(spec.settings["labels"]), config)

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B arrays (labels,) float32."""
        return list(self.scorer(self._pooled(part)).cpu().numpy())

    def _pooled(self, part: Part) -> Tensor:
        """(T, H) -> (B, H)."""
        if self._last:
            return part.hidden.index_select(0, ends(part, self._padding))
        if self._mean:
            bounds = part.sequences.cu_seqlens
            means = torch.segment_reduce(part.hidden.float(), "mean", offsets=bounds, unsafe=True)
            return means.to(part.hidden.dtype)
        return part.hidden.index_select(0, part.sequences.cu_seqlens[:-1])


class TokenHead(Head):
    """One row of logits per token."""

    def __init__(self, spec: HeadSpec, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.scorer = Scorer(TOKENS[spec.settings["family"]], len(spec.settings["labels"]), config)

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B arrays (L, labels) float32."""
        return np.split(self.scorer(part.hidden).cpu().numpy(), part.bounds[1:-1])


def ends(part: Part, padding: int | None = None) -> Tensor:
    """The row of each sequence's last token (B,); of its last but `padding`, which a text may end with."""
    rows = part.bounds[1:] - 1
    if padding is not None:
        for place, (start, encoded) in enumerate(zip(part.bounds[:-1], part.encoded, strict=True)):
            kept = np.flatnonzero(encoded.ids != padding)
            rows[place] = start + (kept[-1] if len(kept) else 0)
    return torch.from_numpy(rows).to(part.hidden.device)


def scorer_keys(recipe: Recipe) -> KeyMap:
    """How a checkpoint names a scorer's tensors."""
    names = [(recipe.dense, "dense"), (recipe.norm, "norm"), (recipe.out, "out")]
    within = [(f"{prefix}{recipe.dense}.", "scorer.dense.") for prefix in PREFIXES if recipe is POOLER]
    return KeyMap(renames=(*within, *((f"{theirs}.", f"scorer.{ours}.") for theirs, ours in names if theirs)))
