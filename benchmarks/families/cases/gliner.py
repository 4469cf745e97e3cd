"""GLiNER: both ways to score, over three encoders, with and without what lies between encoder and scorer."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import AutoConfig

from benchmarks.families import labelled
from benchmarks.families.case import Case, Reference, randomise
from benchmarks.families.cases.deberta_v2 import V3
from benchmarks.families.folder import write_tokenizer
from benchmarks.families.from_transformers import SMALL, WIDE
from benchmarks.families.plain_gliner import ORACLE, GlinerReference, PlainGliner

MARKERS = ("[FLERT]", "<<ENT>>", "<<SEP>>")
USUAL: Mapping[str, Any] = {
    "hidden_size": 24,
    "span_mode": "markerV0",
    "subtoken_pooling": "first",
    "num_rnn_layers": 1,
    "max_width": 5,
    "max_len": 60,
}
DEBERTA = {**SMALL, **V3, "model_type": "deberta-v2", "type_vocab_size": 0}
BERT = {**SMALL, "model_type": "bert", "max_position_embeddings": 300}
SPECIALS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
MODERN = {**SMALL, **SPECIALS, "model_type": "modernbert", "local_attention": 8, "max_position_embeddings": 300}
LENGTHS = (3, 7, 1, 40, 12, 7, 2, 60)

VARIANTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "spans": (DEBERTA, {}),
    "spans, older": (DEBERTA, {"span_mode": "marker"}),
    "words": (DEBERTA, {"span_mode": "token_level"}),
    "BERT, neither projected nor recurrent": (BERT, {"hidden_size": 32, "num_rnn_layers": 0}),
    "ModernBERT, two recurrent layers": (MODERN, {"num_rnn_layers": 2}),
    "words, the last token": (MODERN, {"span_mode": "token_level", "subtoken_pooling": "last"}),
    "mean of tokens": (DEBERTA, {"subtoken_pooling": "mean"}),
    "greatest of tokens, token of the label": (BERT, {"subtoken_pooling": "max", "embed_ent_token": False}),
}
FULL = {"hidden_size": 256, "max_width": 12, "max_len": 384}
"""Of the published models, but half as wide: the library takes its time with 5,000 spans a text."""


def _write(
    folder: Path, *, encoder: Mapping[str, Any], spread: float, parity: bool, changes: Mapping[str, Any]
) -> Reference:
    folder.mkdir(parents=True, exist_ok=True)
    size = encoder["vocab_size"] + len(MARKERS)
    whole = AutoConfig.for_model(**{**encoder, "vocab_size": size}).to_dict()
    config = {**USUAL, **changes, "vocab_size": size, "encoder_config": whole}
    model = PlainGliner(config, **({"attn_implementation": "eager"} if parity else {}))
    randomise(dict(model.named_parameters()), spread=spread)
    (folder / "gliner_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "model.safetensors")
    write_tokenizer(folder, encoder["vocab_size"], MARKERS)
    return GlinerReference(model)


CASES = tuple(
    Case(
        family="gliner",
        variant=variant,
        oracle=ORACLE,
        write=partial(_write, encoder=encoder, spread=0.18, parity=True, changes=changes),
        wide=partial(
            _write, encoder={**encoder, **WIDE, "position_buckets": 256}, spread=0.04, parity=False, changes=FULL
        )
        if not place
        else None,
        lengths=LENGTHS,
        output="spans",
        read=labelled.words,
    )
    for place, (variant, (encoder, changes)) in enumerate(VARIANTS.items())
)
