"""GLiClass: its scorers, its poolings of texts and of labels, both orders of labels and text."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gliclass import GLiClassModel, GLiClassModelConfig  # type: ignore[import-untyped]

from benchmarks.families import labelled
from benchmarks.families.case import Case, Hidden, Reference, randomise
from benchmarks.families.cases.gliner import BERT, DEBERTA, MODERN
from benchmarks.families.folder import write_tokenizer
from benchmarks.families.from_transformers import WIDE
from engine.encoded import Encoded

MARKERS = ("<<LABEL>>", "<<SEP>>", "<<EXAMPLE>>")
LENGTHS = (3, 7, 0, 40, 12, 7, 2, 60)

VARIANTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "weighted-dot": (DEBERTA, {"scorer_type": "weighted-dot", "prompt_first": True}),
    "simple, normalised": (DEBERTA, {"normalize_features": True, "prompt_first": True}),
    "mlp, text first": (BERT, {"scorer_type": "mlp"}),
    "means of labels": (MODERN, {"class_token_pooling": "average", "prompt_first": True, "pooling_strategy": "avg"}),
    "text alone": (
        DEBERTA,
        {
            "class_token_pooling": "average",
            "embed_class_token": False,
            "extract_text_features": True,
            "prompt_first": True,
            "pooling_strategy": "max",
        },
    ),
    "text alone, mean": (BERT, {"extract_text_features": True, "pooling_strategy": "avg", "prompt_first": True}),
    "recurrent, token of the label": (
        DEBERTA,
        {"use_lstm": True, "pooling_strategy": "last", "embed_class_token": False, "prompt_first": True},
    ),
    "recurrent, text alone": (
        MODERN,
        {"use_lstm": True, "extract_text_features": True, "pooling_strategy": "rms", "prompt_first": True},
    ),
    "greatest, without sign": (BERT, {"pooling_strategy": "abs_max", "projector_hidden_act": "relu"}),
    "mean, without sign": (BERT, {"pooling_strategy": "abs_avg"}),
    "sum": (MODERN, {"pooling_strategy": "sum", "normalize_features": True}),
}


class GliclassReference:
    """The library's model behind `Reference`."""

    def __init__(self, model: GLiClassModel) -> None:
        self._model = model.train(False)

    @torch.no_grad()
    def __call__(self, encoded: Sequence[Encoded]) -> list[Hidden]:
        """One pass for each sequence."""
        return [self._logits([one])[0][:, None].numpy() for one in encoded]

    @torch.no_grad()
    def padded(self, encoded: Sequence[Encoded]) -> None:
        """One pass for all."""
        self._logits(encoded)

    def _logits(self, encoded: Sequence[Encoded]) -> torch.Tensor:
        longest = max(map(len, encoded))
        ids = torch.zeros(len(encoded), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(encoded):
            ids[row, : len(one)], mask[row, : len(one)] = torch.from_numpy(one.ids).long(), 1
        labels = max(len(one.marks.labels) for one in encoded)
        logits: torch.Tensor = self._model(
            input_ids=ids, attention_mask=mask, max_num_classes=labels, return_dict=True
        ).logits
        return logits


def _write(folder: Path, *, encoder: Mapping[str, Any], spread: float, **changes: Any) -> Reference:
    words = encoder["vocab_size"]
    names = ("class_token_index", "text_token_index", "example_token_index")
    config = GLiClassModelConfig(
        encoder_config={**encoder, "vocab_size": words + len(MARKERS)},
        encoder_model=str(folder),
        vocab_size=words + len(MARKERS),
        **dict(zip(names, range(words, words + len(MARKERS)), strict=True)),
        **changes,
    )
    model = GLiClassModel(config)
    randomise({name: one for name, one in model.named_parameters() if one.ndim}, spread=spread)
    model.save_pretrained(folder)
    write_tokenizer(folder, words, MARKERS)
    return GliclassReference(model)


CASES = tuple(
    Case(
        family="gliclass",
        variant=variant,
        oracle="gliclass GLiClassModel",
        write=partial(_write, encoder=encoder, spread=0.15, **changes),
        wide=partial(_write, encoder={**encoder, **WIDE, "position_buckets": 256}, spread=0.04, **changes)
        if not place
        else None,
        lengths=LENGTHS,
        output="classes",
        read=labelled.texts,
    )
    for place, (variant, (encoder, changes)) in enumerate(VARIANTS.items())
)
