"""Cases whose reference is a model of transformers' own, by its config."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from benchmarks.families.case import LENGTHS, VOCABULARY, Case, Hidden, Reference, randomise
from benchmarks.families.folder import write_tokenizer
from engine.encoded import Encoded

SMALL: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
WIDE: Mapping[str, Any] = {
    "vocab_size": 30_000,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 514,
}
"""As all-MiniLM-L6."""


class TransformersReference:
    """A model of transformers behind `Reference`."""

    def __init__(self, model: PreTrainedModel, *, types: bool) -> None:
        self._model = model.train(False)
        self._types = types
        self._padding = model.config.pad_token_id or 0

    @torch.no_grad()
    def __call__(self, encoded: Sequence[Encoded]) -> list[Hidden]:
        """One pass for each sequence."""
        return [self._hidden([sequence])[0].float().numpy() for sequence in encoded]

    @torch.no_grad()
    def padded(self, encoded: Sequence[Encoded]) -> None:
        """One pass for all."""
        self._hidden(encoded)

    def _hidden(self, encoded: Sequence[Encoded]) -> torch.Tensor:
        """(B, L, H)."""
        longest = max(map(len, encoded))
        shape = (len(encoded), longest)
        inputs = {
            "input_ids": torch.full(shape, self._padding),
            "attention_mask": torch.zeros(shape, dtype=torch.long),
        }
        if self._types:
            inputs["token_type_ids"] = torch.zeros(shape, dtype=torch.long)
        for row, sequence in enumerate(encoded):
            inputs["input_ids"][row, : len(sequence)] = torch.from_numpy(sequence.ids)
            inputs["attention_mask"][row, : len(sequence)] = 1
            if sequence.types is not None:
                inputs["token_type_ids"][row, : len(sequence)] = torch.from_numpy(sequence.types)
        hidden: torch.Tensor = self._model(**inputs).last_hidden_state
        return hidden


def transformers_cases(
    family: str,
    config: type[PretrainedConfig],
    variants: Mapping[str, Mapping[str, Any]],
    *,
    small: Mapping[str, Any] = SMALL,
    wide: Mapping[str, Any] | None = WIDE,
    lengths: Mapping[str, tuple[int, ...]] | None = None,
    types: bool = False,
    spread: float = 0.2,
    norms: float = 1.0,
    finish: Callable[[Path], None] | None = None,
) -> tuple[Case, ...]:
    """A case for each variant: `small` with the keys it changes; the first one is also tried for speed in `wide`.

    `lengths` by variant where they are not the usual ones. `norms` is 0 where norms' weights are stored less 1.
    `finish` makes of what transformers saves what publishers have on the hub.
    """
    write = partial(_write, config=config, types=types, finish=finish)
    return tuple(
        Case(
            family=family,
            variant=variant,
            oracle=f"transformers {config.__name__.removesuffix('Config')}Model",
            write=partial(write, shape={**small, **changes}, spread=spread, norms=norms, parity=True),
            wide=partial(write, shape={**changes, **wide}, spread=0.04, norms=norms, parity=False)
            if wide and not place
            else None,
            lengths=(lengths or {}).get(variant, LENGTHS),
            types=types,
        )
        for place, (variant, changes) in enumerate(variants.items())
    )


def _write(
    folder: Path,
    *,
    config: type[PretrainedConfig],
    shape: Mapping[str, Any],
    types: bool,
    spread: float,
    norms: float,
    parity: bool,
    finish: Callable[[Path], None] | None,
) -> Reference:
    """The reference as the library builds it for speed, by its plainest attention for parity."""
    chosen = {"attn_implementation": "eager"} if parity else {}
    model: PreTrainedModel = AutoModel.from_config(config(**shape), **chosen)  # type: ignore[no-untyped-call]
    randomise(dict(model.named_parameters()), spread=spread, norms=norms)
    model.save_pretrained(folder)
    write_tokenizer(folder, shape["vocab_size"])
    if finish is not None:
        finish(folder)
    return TransformersReference(model, types=types)
