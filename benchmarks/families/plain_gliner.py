"""GLiNER written out plainly, padded as its library pads it, under the names of its checkpoints.

The library wants another transformers than the one that the other references are from, so it is no part of the checks;
these modules were held against gliner 0.2.29 by hand.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import AutoConfig, AutoModel

from benchmarks.families.case import Hidden
from engine.encoded import Encoded

ORACLE = "plain implementation over transformers' encoder (gliner 0.2.29 by hand)"


def small(width: int, out: int) -> nn.Sequential:
    """Two layers, the first four times as wide as what comes out."""
    return nn.Sequential(nn.Linear(width, 4 * out), nn.ReLU(), nn.Dropout(0.4), nn.Linear(4 * out, out))


def marker(width: int) -> nn.Sequential:
    """Of the older way to represent spans."""
    return nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Dropout(0.4), nn.Linear(2 * width, width))


class Named(nn.Module):
    """Modules by name."""

    def __init__(self, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


class PlainGliner(nn.Module):
    """Scores of all spans of a padded batch."""

    token_rep_layer: Any
    rnn: Any
    scorer: Any
    span_rep_layer: Any
    prompt_rep_layer: Any

    def __init__(self, config: Mapping[str, Any], **chosen: Any) -> None:
        super().__init__()
        said = dict(config["encoder_config"])
        encoder = AutoModel.from_config(AutoConfig.for_model(said.pop("model_type"), **said), **chosen)  # type: ignore[no-untyped-call]
        width, hidden = config["hidden_size"], said["hidden_size"]
        self.token_rep_layer = Named(bert_layer=Named(model=encoder))
        if width != hidden:
            self.token_rep_layer.add_module("projection", nn.Linear(hidden, width))
        if config["num_rnn_layers"]:
            lstm = nn.LSTM(width, width // 2, config["num_rnn_layers"], bidirectional=True, batch_first=True)
            self.rnn = Named(lstm=lstm)
        self.mode, self.max_width, self.pooling = config["span_mode"], config["max_width"], config["subtoken_pooling"]
        if self.mode == "token_level":
            mlp = nn.Sequential(nn.Linear(3 * width, 4 * width), nn.Dropout(0.4), nn.ReLU(), nn.Linear(4 * width, 3))
            both = {f"proj_{one}": nn.Linear(width, 2 * width) for one in ("token", "label")}
            self.scorer = Named(**both, out_mlp=mlp)
        else:
            ends = {
                f"project_{end}": small(width, width) if self.mode == "markerV0" else marker(width)
                for end in ("start", "end")
            }
            out = small(2 * width, width) if self.mode == "markerV0" else nn.Linear(2 * width, width)
            self.span_rep_layer = Named(span_rep_layer=Named(**ends, out_project=out))
            self.prompt_rep_layer = small(width, width)

    def forward(self, encoded: Sequence[Encoded]) -> Tensor:
        """(B, W, K, C) probabilities; of words (B, W, C, 3)."""
        longest = max(map(len, encoded))
        ids = torch.zeros(len(encoded), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, : len(one)], mask[row, : len(one)] = torch.from_numpy(one.ids).long(), 1
        hidden = self.token_rep_layer.bert_layer.model(input_ids=ids, attention_mask=mask)[0]
        if hasattr(self.token_rep_layer, "projection"):
            hidden = self.token_rep_layer.projection(hidden)
        counts = [len(one.marks.words) for one in encoded]
        words = hidden.new_zeros(len(encoded), max(counts), hidden.shape[2])
        labels = hidden.new_zeros(len(encoded), max(len(one.marks.labels) for one in encoded), hidden.shape[2])
        for row, one in enumerate(encoded):
            for place, (first, end) in enumerate(one.marks.words.tolist()):
                words[row, place] = self._pooled(hidden[row, first:end])
            labels[row, : len(one.marks.labels)] = hidden[row, torch.from_numpy(one.marks.labels)]
        if hasattr(self, "rnn"):
            packed = pack_padded_sequence(words, torch.tensor(counts), batch_first=True, enforce_sorted=False)
            words = pad_packed_sequence(self.rnn.lstm(packed)[0], batch_first=True)[0]
        scores = self._of_words(words, labels) if self.mode == "token_level" else self._of_spans(words, labels)
        return scores.sigmoid()

    def _pooled(self, tokens: Tensor) -> Tensor:
        """(L, D) -> (D,)."""
        ways = {"first": tokens[0], "last": tokens[-1], "mean": tokens.mean(0), "max": tokens.amax(0)}
        return ways[self.pooling]

    def _of_spans(self, words: Tensor, labels: Tensor) -> Tensor:
        layer = self.span_rep_layer.span_rep_layer
        count = words.shape[1]
        first = torch.arange(count)[:, None].expand(-1, self.max_width)
        last = (first + torch.arange(self.max_width)).clamp(max=count - 1)
        ends = [layer.project_start(words)[:, first], layer.project_end(words)[:, last]]  # 2 x (B, W, K, D)
        spans = layer.out_project(torch.cat(ends, dim=-1).relu())
        return torch.einsum("bwkd,bcd->bwkc", spans, self.prompt_rep_layer(labels))

    def _of_words(self, words: Tensor, labels: Tensor) -> Tensor:
        (word, by_word), (label, by_label) = (
            made.chunk(2, dim=-1) for made in (self.scorer.proj_token(words), self.scorer.proj_label(labels))
        )
        shape = (*words.shape[:2], labels.shape[1], words.shape[2])
        pairs = [word[:, :, None].expand(shape), label[:, None].expand(shape), by_word[:, :, None] * by_label[:, None]]
        scores: Tensor = self.scorer.out_mlp(torch.cat(pairs, dim=-1))
        return scores


class GlinerReference:
    """The plain model behind `Reference`: of each sequence all of its spans, as rows (first, last, label, score)."""

    def __init__(self, model: PlainGliner) -> None:
        self._model = model.train(False)

    @torch.no_grad()
    def __call__(self, encoded: Sequence[Encoded]) -> list[Hidden]:
        """One pass for each sequence."""
        rows = self._by_word if self._model.mode == "token_level" else self._by_span
        return [np.array(rows(self._model([one])[0].numpy()), dtype=np.float32) for one in encoded]

    @torch.no_grad()
    def padded(self, encoded: Sequence[Encoded]) -> None:
        """One pass for all."""
        self._model(encoded)

    def _by_span(self, scores: Hidden) -> list[tuple[float, ...]]:
        count, widths, labels = scores.shape
        return [
            (first, first + width, label, scores[first, width, label])
            for first in range(count)
            for width in range(min(widths, count - first))
            for label in range(labels)
        ]

    def _by_word(self, scores: Hidden) -> list[tuple[float, ...]]:
        count, labels, _ = scores.shape
        return [
            (
                first,
                last,
                label,
                min(scores[first, label, 0], scores[last, label, 1], *scores[first : last + 1, label, 2]),
            )
            for label in range(labels)
            for first in range(count)
            for last in range(first, count)
        ]
