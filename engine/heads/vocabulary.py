"""Weights of the vocabulary's words: SPLADE (Formal et al. 2021).

log(1 + relu(logits)) of every token, of which the greatest counts, or their sum. Logits of all tokens would be (T, V),
16 GB for a full batch of a large vocabulary: those of a few tokens are made at a time.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.configs.head_spec import HeadSpec
from engine.configs.sparse import VocabularyLayout
from engine.encoded import TokenIds
from engine.heads.part import Head, Part
from engine.heads.token_weights import Sparse
from engine.layers.activation import activation
from engine.layers.embedding import Embedding
from engine.weights import KeyMap

NUMBERS = 2**24
"""Logits that are made at once."""


class Piece(NamedTuple):
    """Neighbouring tokens of one text."""

    start: int
    end: int
    last: bool
    """The text ends with it."""


class VocabularyHead(Head):
    """The masked-language model's head, pooled over each text."""

    def __init__(self, spec: HeadSpec, config: Mapping[str, Any], words: Any) -> None:
        super().__init__()
        layout: VocabularyLayout = spec.settings["layout"]
        width, size = int(config["hidden_size"]), int(config["vocab_size"])
        self.dense = nn.Linear(width, width, bias=_has(config, layout.dense_bias))
        self.norm = nn.LayerNorm(width, eps=float(config["layer_norm_eps"]), bias=_has(config, layout.norm_bias))
        self.decoder = nn.Identity() if spec.settings["tied"] else Embedding(size, width)
        self.bias = nn.Parameter(torch.empty(size), requires_grad=False) if _has(config, layout.decoder_bias) else None
        self.idf = None
        if spec.settings["idf"] is not None:
            self.idf = nn.Parameter(torch.empty(spec.settings["idf"][1]), requires_grad=False)
        self._size = size
        self._words = words
        named = None if layout.activation is None else config.get(layout.activation)
        self._activation = activation("gelu" if named is None else named)
        self._sums = spec.settings["pooling"] == "sum"
        self._logarithms = int(spec.settings["logarithms"])

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:
        """(T, H) -> B sparse vectors over the vocabulary."""
        table: Tensor = self.decoder.weight if isinstance(self.decoder, Embedding) else self._words(body)  # (V, H)
        hidden: Tensor = self.norm(self._activation(self.dense(part.hidden)))  # (T, H)
        vectors: list[Sparse] = []
        pooled: Tensor | None = None  # of the text that is not at its end, (V,)
        for pieces in _groups(part.bounds.tolist(), max(1, NUMBERS // self._size)):
            start = pieces[0].start
            logits = functional.linear(hidden[start : pieces[-1].end], table, self.bias)  # (tokens, V)
            for piece in pieces:
                found = self._pool(logits[piece.start - start : piece.end - start])
                pooled = found if pooled is None else self._both(pooled, found)
                if piece.last:
                    vectors.append(_sparse(pooled if self._sums else self._weigh(pooled)))
                    pooled = None
        return vectors

    def look_up(self, ids: TokenIds) -> Sparse:
        """The weights that a query's words have in the table, whatever stands beside them."""
        if self.idf is None:
            raise RuntimeError("This model has no table of weights.")
        indices = np.unique(ids)
        rows = torch.from_numpy(indices.astype(np.int64)).to(self.idf.device)
        values = self.idf.index_select(0, rows).to("cpu", torch.float32).numpy()
        return indices[values != 0].astype(np.int32), values[values != 0]

    def _pool(self, logits: Tensor) -> Tensor:
        """(tokens, V) -> (V,). The greatest weight is that of the greatest logit, so it is weighed once, at the end."""
        return self._weigh(logits).sum(0) if self._sums else logits.amax(0)

    def _both(self, one: Tensor, other: Tensor) -> Tensor:
        return one + other if self._sums else torch.maximum(one, other)

    def _weigh(self, logits: Tensor) -> Tensor:
        weights = logits.float().relu()
        for _ in range(self._logarithms):
            weights = weights.log1p()
        return weights


def vocabulary_keys(spec: HeadSpec) -> KeyMap:
    """Of the family's head, under the names that its checkpoints have for it."""
    layout: VocabularyLayout = spec.settings["layout"]
    idf = spec.settings["idf"]
    return KeyMap(
        renames=(
            (".layer_norm.", ".norm."),
            (".gamma", ".weight"),
            (".beta", ".bias"),
            *(((f"{idf[0]}weight", "idf"),) if idf is not None else ()),
            (f"{layout.dense}.", "dense."),
            (f"{layout.norm}.", "norm."),
            (spec.settings["bias"], "bias"),
            (f"{layout.decoder}.weight", "decoder.weight"),
        ),
        # Stored although they are the words' table and the bias once more.
        ignored=(rf"{re.escape(layout.decoder)}\.(weight|bias)", re.escape(layout.bias)),
    )


def vocabulary_bytes(spec: HeadSpec, config: Mapping[str, Any], tokens: int, itemsize: int) -> int:
    """Of memory that logits take: some tokens' at once, weighed by the text where they are summed, and one text's."""
    size = int(config["vocab_size"])
    at_once = min(max(NUMBERS // size, 1), tokens)
    weighed = min(at_once, int(config["max_position_embeddings"])) if spec.settings["pooling"] == "sum" else 0
    return size * (at_once * itemsize + 8 * weighed + 32)


def _groups(bounds: Sequence[int], most: int) -> Iterator[list[Piece]]:
    """Texts, whole or in pieces, that have at most so many tokens together."""
    group: list[Piece] = []
    room = most
    for start, end in pairwise(bounds):
        at = start
        while at < end:
            if not room:
                yield group
                group, room = [], most
            stop = min(end, at + room)
            group.append(Piece(at, stop, last=stop == end))
            room -= stop - at
            at = stop
    yield group


def _sparse(weights: Tensor) -> Sparse:
    """(V,) -> what is not 0 of it."""
    indices = weights.nonzero()[:, 0]
    return indices.to("cpu", torch.int32).numpy(), weights[indices].to("cpu", torch.float32).numpy()


def _has(config: Mapping[str, Any], key: str | None) -> bool:
    """A bias: there is one, unless a key of config.json decides; of these the decoder's alone is on by default."""
    return key is None or bool(config.get(key, key == "decoder_bias"))
