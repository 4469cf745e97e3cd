"""Scores of spans of words for labels that the same text names (GLiNER, Zaratiana et al. 2023).

The vectors of labels and of words come out of one pass of the body; words go through an LSTM. As `UniEncoderSpanModel`
and `UniEncoderTokenModel` of the library gliner, with two products taken in another order: a span's first layer is the
sum of what its two ends give, and its last one is multiplied with the labels first. So nothing of the hidden size is
made for spans, of which there are many more than words and labels.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.configs.head_spec import HeadSpec
from engine.heads.blocks import NUMBERS
from engine.heads.part import Head, Part
from engine.heads.spans import Candidates, Places, from_words
from engine.layers.lstm import Lstm
from engine.prompts.words import SpanMarks
from engine.weights import KeyMap

WIDER = 4
"""Times the width in the middle of its small networks."""


class Mlp(nn.Module):
    """down(relu(up(x)))."""

    def __init__(self, width: int, middle: int, out: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, middle)
        self.down = nn.Linear(middle, out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, W) -> (N, O)."""
        out: Tensor = self.down(self.up(x).relu_())
        return out


class SpanScorer(nn.Module):
    """Of all spans of up to `max_width` words (`markerV0`, and `marker` that came before it)."""

    def __init__(self, width: int, max_width: int, mode: str) -> None:
        super().__init__()
        middle = WIDER * width if mode == "markerV0" else 2 * width
        self.start = Mlp(width, middle, width)
        self.end = Mlp(width, middle, width)
        self.out: nn.Module = (
            Mlp(2 * width, WIDER * width, width) if mode == "markerV0" else nn.Linear(2 * width, width)
        )
        self.label = Mlp(width, WIDER * width, width)
        self.max_width = max_width

    def words(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(W, D) -> what a span's first and last word give to its first layer, 2 x (W, E)."""
        first: Any = self.out.up if isinstance(self.out, Mlp) else self.out
        begin, end = first.weight.chunk(2, dim=1)
        starts = functional.linear(self.start(x).relu_(), begin, first.bias)
        return starts, functional.linear(self.end(x).relu_(), end)

    def labels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(C, D) -> what a span's first layer is multiplied with for each label, and what is added: (C, E), (C,)."""
        labels: Tensor = self.label(x)
        if not isinstance(self.out, Mlp):
            return labels, labels.new_zeros(len(labels))
        return labels @ self.out.down.weight, labels @ self.out.down.bias

    def find(self, words: Sequence[Tensor], labels: Sequence[Tensor], thresholds: Tensor) -> Candidates:
        """One text's words and labels to its spans above the thresholds (C,)."""
        (starts, ends), (weights, bias) = words, labels
        count, middle = starts.shape
        ends = functional.pad(ends, (0, 0, 0, self.max_width - 1))
        widths = ends.as_strided((count, self.max_width, middle), (middle, middle, 1))
        step = max(1, NUMBERS[starts.device.type] // (self.max_width * middle))
        blocks = []
        for first in range(0, count, step):
            spans = starts[first : first + step, None] + widths[first : first + step]  # (w, K, E)
            spans = spans.relu_() if isinstance(self.out, Mlp) else spans
            blocks.append(functional.linear(spans, weights, bias).float())
        scores = torch.cat(blocks).sigmoid_()  # (W, K, C)
        lasts = torch.arange(count, device=scores.device)[:, None] + torch.arange(self.max_width, device=scores.device)
        # A number that is none is above every threshold: it is somebody's to see.
        found = ((scores <= thresholds).logical_not_() & (lasts < count)[..., None]).nonzero()
        places, values = found.cpu().numpy(), scores[tuple(found.T)].cpu().numpy()
        return Candidates(places[:, 0], places[:, 0] + places[:, 1], places[:, 2], values)


class WordScorer(nn.Module):
    """Of each word as the first one, the last one and one inside of a label's spans (`token_level`)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Linear(width, 2 * width)
        self.label = nn.Linear(width, 2 * width)
        self.out = Mlp(3 * width, WIDER * width, 3)

    def words(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(W, D) -> what words give to the first layer by themselves (W, E), and with a label (W, D)."""
        alone, paired = self.token(x).chunk(2, dim=1)
        return functional.linear(alone, self._parts()[0], self.out.up.bias), paired

    def labels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(C, D) -> the same of labels: (C, E), (C, D)."""
        alone, paired = self.label(x).chunk(2, dim=1)
        return functional.linear(alone, self._parts()[1]), paired

    def find(self, words: Sequence[Tensor], labels: Sequence[Tensor], thresholds: Tensor) -> Candidates:
        """One text's words and labels to its spans above the thresholds (C,)."""
        (by_word, words_paired), (by_label, labels_paired) = words, labels
        count, middle = by_word.shape
        step = max(1, NUMBERS[by_word.device.type] // (count * middle))
        blocks = []
        for first in range(0, len(by_label), step):
            together = slice(first, first + step)
            pairs = words_paired[:, None] * labels_paired[together]  # (W, c, D)
            made = functional.linear(pairs, self._parts()[2]).add_(by_word[:, None]).add_(by_label[together])
            blocks.append(self.out.down(made.relu_()).float())
        scores = torch.cat(blocks, dim=1).sigmoid_()  # (W, C, 3)
        return from_words(scores.cpu().numpy(), thresholds.cpu().numpy())

    def _parts(self) -> Sequence[Tensor]:
        """The first layer's weights of the word, of the label, and of their product."""
        return self.out.up.weight.chunk(3, dim=1)


class GlinerHead(Head):
    """Spans above the thresholds, as places of words and labels in their sequence's marks."""

    def __init__(self, spec: HeadSpec, config: Mapping[str, Any]) -> None:
        super().__init__()
        said = spec.settings
        width, hidden = said["width"], config["hidden_size"]
        self.project = nn.Linear(hidden, width) if width != hidden else None
        self.rnn = Lstm(width, said["recurrent"]) if said["recurrent"] else None
        by_word = said["mode"] == "token_level"
        self.scorer = WordScorer(width) if by_word else SpanScorer(width, said["reading"].max_width, said["mode"])
        self._pooling = said["pooling"]

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B Candidates."""
        marks = [_marks(encoded.marks, len(encoded)) for encoded in part.encoded]
        begins = part.bounds[:-1].tolist()
        hidden = part.hidden if self.project is None else self.project(part.hidden)  # (T, D)
        counts = np.array([len(one.words) for one in marks])
        words = self._words(hidden, np.concatenate([one.words + at for one, at in zip(marks, begins, strict=True)]))
        if self.rnn is not None:
            words = self.rnn(words, counts)
        rows = np.concatenate([one.labels + at for one, at in zip(marks, begins, strict=True)])
        labels = hidden.index_select(0, torch.from_numpy(rows).to(hidden.device))
        by_word, by_label = self.scorer.words(words), self.scorer.labels(labels)
        thresholds = torch.from_numpy(np.concatenate([one.thresholds for one in marks])).to(hidden.device)
        at_words, at_labels = (
            [slice(*ends) for ends in pairwise(np.cumsum([0, *sizes]).tolist())]
            for sizes in (counts, [len(one.labels) for one in marks])
        )
        return [
            self.scorer.find([one[some] for one in by_word], [one[of] for one in by_label], thresholds[of])
            for some, of in zip(at_words, at_labels, strict=True)
        ]

    def _words(self, hidden: Tensor, bounds: Places) -> Tensor:
        """One vector for each word (W, 2): (T, D) -> (W, D)."""
        if self._pooling in ("first", "last"):
            rows = bounds[:, 0] if self._pooling == "first" else bounds[:, 1] - 1
            return hidden.index_select(0, torch.from_numpy(rows).to(hidden.device))
        sizes = bounds[:, 1] - bounds[:, 0]
        ends = np.cumsum(sizes)
        rows = np.arange(ends[-1]) + np.repeat(bounds[:, 0] - ends + sizes, sizes)
        tokens = hidden.index_select(0, torch.from_numpy(rows).to(hidden.device))
        lengths = torch.from_numpy(sizes).to(hidden.device)
        return torch.segment_reduce(tokens.float(), self._pooling, lengths=lengths, unsafe=True).to(hidden.dtype)


def _marks(marks: object, length: int) -> SpanMarks:
    """Those of a sequence; of one without any, that every token is a word and the first one a label too."""
    if isinstance(marks, SpanMarks):
        return marks
    every = np.arange(length)
    return SpanMarks(every[:1], np.stack([every, every + 1], axis=1), np.ones(1, dtype=np.float32))


SPAN_KEYS = (
    *(
        (f"project_{end}.{old}.", f"{end}.{new}.")
        for end in ("start", "end")
        for old, new in (("0", "up"), ("3", "down"))
    ),
    ("span_rep_layer.span_rep_layer.", "scorer."),
    ("prompt_rep_layer.0.", "scorer.label.up."),
    ("prompt_rep_layer.3.", "scorer.label.down."),
    ("scorer.out_project.0.", "scorer.out.up."),
    ("scorer.out_project.3.", "scorer.out.down."),
    ("scorer.out_project.", "scorer.out."),
)
WORD_KEYS = (
    ("scorer.proj_", "scorer."),
    ("scorer.out_mlp.0.", "scorer.out.up."),
    ("scorer.out_mlp.3.", "scorer.out.down."),
)


def gliner_keys(spec: HeadSpec) -> KeyMap:
    """Of the library's modules."""
    own = WORD_KEYS if spec.settings["mode"] == "token_level" else SPAN_KEYS
    return KeyMap(renames=(("token_rep_layer.projection.", "project."), ("rnn.lstm.", "rnn."), *own))
