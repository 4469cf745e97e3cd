"""Scores of a text for labels that stand beside it (GLiClass): a vector of the text against one of each label.

As `GLiClassUniEncoder` of the library gliclass, on one text at a time: padding, over which its poolings go too in a
batch, is nobody's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.configs.head_spec import HeadSpec
from engine.heads.blocks import NUMBERS
from engine.heads.label_scorers import SCORERS, Projector
from engine.heads.part import Head, Part
from engine.layers.lstm import Lstm
from engine.prompts.labels import ClassMarks
from engine.weights import KeyMap

Places = NDArray[np.int64]

EPSILON = 1e-8
"""Added to lengths that vectors are divided by."""


class GliclassHead(Head):
    """One logit per label."""

    def __init__(self, spec: HeadSpec, config: Mapping[str, Any]) -> None:
        super().__init__()
        said, width = spec.settings, config["hidden_size"]
        self.text = Projector(width, said["activation"])
        self.label = Projector(width, said["activation"])
        self.scorer = SCORERS[said["scorer"]](width)
        self.lstm = Lstm(width, 1) if said["recurrent"] else None
        self.scale = nn.Parameter(torch.empty(()), requires_grad=False) if said["normalize"] else None
        self._width = width
        self._pooling, self._text_alone = said["pooling"], said["text_alone"]
        self._averaged, self._marked = said["averaged"], said["marked"]

    def forward(self, part: Part, body: nn.Module) -> Sequence[object]:  # noqa: ARG002 - a head's signature
        """(T, H) -> B arrays (labels,) float32."""
        marks = [_marks(encoded.marks) for encoded in part.encoded]
        counts = np.array([len(one.labels) for one in marks])
        texts, labels = self.text(self._texts(part, marks)), self.label(self._labels(part, marks))
        if self.scale is not None:
            texts, labels = (x / (x.norm(dim=-1, keepdim=True) + EPSILON) for x in (texts, labels))
        of = torch.from_numpy(np.repeat(np.arange(len(marks)), counts)).to(texts.device)
        step = max(1, NUMBERS[texts.device.type] // (7 * self._width))
        blocks = [
            self.scorer(texts[some], found)
            for some, found in zip(torch.split(of, step), torch.split(labels, step), strict=True)
        ]
        logits = torch.cat(blocks)
        logits = (logits if self.scale is None else logits * self.scale).float()
        return np.split(logits.cpu().numpy(), np.cumsum(counts)[:-1])

    def _labels(self, part: Part, marks: Sequence[ClassMarks]) -> Tensor:
        """One vector for each label of each text: (T, H) -> (C, H)."""
        begins = part.bounds[:-1].tolist()
        firsts = np.concatenate([one.labels + at for one, at in zip(marks, begins, strict=True)])
        firsts = firsts + (0 if self._marked else 1)
        if not self._averaged:
            return part.hidden.index_select(0, torch.from_numpy(firsts).to(part.hidden.device))
        ends = np.concatenate(
            [
                # A label's tokens go up to the next marker; the last one's to the text, where that is told apart.
                np.append(one.labels[1:], one.separator if self._text_alone else len(encoded)) + at
                for one, at, encoded in zip(marks, begins, part.encoded, strict=True)
            ]
        )
        sizes = np.maximum(ends - firsts, 0)
        sums = _reduced("sum", part.hidden.index_select(0, _rows(firsts, sizes, part.hidden)).float(), sizes)
        return (sums / _column(np.maximum(sizes, 1), sums)).to(part.hidden.dtype)

    def _texts(self, part: Part, marks: Sequence[ClassMarks]) -> Tensor:
        """One vector for each text: (T, H) -> (B, H). A text that is told apart begins with the separator."""
        begins, ends = part.bounds[:-1], part.bounds[1:]
        firsts = begins + np.array([one.separator if self._text_alone else 0 for one in marks])
        sizes = ends - firsts
        x, whole = part.hidden, ends - begins
        if self.lstm is not None:
            x = self.lstm(x.index_select(0, _rows(firsts, sizes, x)), sizes)
            firsts, whole = np.cumsum(sizes) - sizes, sizes
        if self._pooling in ("first", "last"):
            places = firsts if self._pooling == "first" else firsts + sizes - 1
            return x.index_select(0, torch.from_numpy(places).to(x.device))
        taken = x.index_select(0, _rows(firsts, sizes, x)).float()
        return _pooled(self._pooling, taken, sizes, whole).to(x.dtype)


def _pooled(how: str, x: Tensor, sizes: Places, whole: Places) -> Tensor:
    """(T, H) -> (B, H). The reference counts the labels' places, which hold nothing, among those of the text."""
    x = x.square() if how == "rms" else x.abs() if how.startswith("abs_") else x
    if how.endswith("max"):
        found = _reduced("max", x, sizes)
        return torch.where(_column(whole > sizes, x).bool(), found.clamp(min=0), found)
    sums = _reduced("sum", x, sizes)
    if how == "sum":
        return sums
    means = sums / _column(whole, x)
    return means.sqrt() if how == "rms" else means


def _reduced(how: str, x: Tensor, sizes: Places) -> Tensor:
    return torch.segment_reduce(x, how, lengths=torch.from_numpy(sizes).to(x.device), unsafe=True)


def _rows(firsts: Places, sizes: Places, x: Tensor) -> Tensor:
    ends = np.cumsum(sizes)
    return torch.from_numpy(np.arange(ends[-1]) + np.repeat(firsts - ends + sizes, sizes)).to(x.device)


def _column(numbers: NDArray[Any], x: Tensor) -> Tensor:
    return torch.from_numpy(numbers).to(x.device, x.dtype)[:, None]


def _marks(marks: object) -> ClassMarks:
    """Those of a sequence; of one without any, that its first token is a label's."""
    return marks if isinstance(marks, ClassMarks) else ClassMarks(np.zeros(1, dtype=np.int64), 0)


def gliclass_keys(spec: HeadSpec) -> KeyMap:
    """Of the library's modules."""
    scale = () if spec.settings["normalize"] else (r"model\.logit_scale",)
    return KeyMap(
        renames=(
            ("model.text_projector.", "text."),
            ("model.classes_projector.", "label."),
            (".linear_1.", ".up."),
            (".linear_2.", ".down."),
            ("model.lstm.lstm.", "lstm."),
            ("model.logit_scale", "scale"),
            ("model.scorer.proj_", "scorer."),
            ("model.scorer.out_mlp.0.", "scorer.up."),
            ("model.scorer.out_mlp.3.", "scorer.down."),
            *(
                (f"model.scorer.mlp.{old}.", f"scorer.{new}.")
                for old, new in (("0", "first"), ("2", "second"), ("4", "third"))
            ),
        ),
        ignored=scale,
    )
