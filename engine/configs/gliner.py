"""What a folder says of GLiNER's head (Zaratiana et al. 2023): how it reads labels and words, and how it scores spans.

Free of torch. The uni-encoder, over spans or over words; what the library has beside that is refused by name.
"""

from collections.abc import Mapping
from typing import Any

from engine.configs.head_spec import Heads, HeadSpec
from engine.configs.label_markers import longest_of, need_markers
from engine.configs.label_reading import WordReading
from engine.configs.network import GLINER_FILE
from engine.errors import ArchitectureUnknown
from engine.files.folder import ModelFolder, positive, read_object

PREFIX = "token_rep_layer.bert_layer.model."
"""Of the encoder's tensors."""
MODES = ("marker", "markerV0", "token_level")
POOLINGS = ("first", "last", "mean", "max")
THRESHOLD = 0.5
"""Of the library."""
REFUSED: Mapping[str, str] = {
    "labels_encoder": "labels with an encoder of their own (bi-encoder)",
    "labels_decoder": "a decoder of labels",
    "relations_layer": "relations",
    "span_encoder_config": "an encoder of spans",
    "post_fusion_schema": "post-fusion",
    "fuse_layers": "fused layers",
    "represent_spans": "spans represented beside the scores of words",
    "precomputed_prompts_mode": "precomputed prompts",
}


def spans_of_labels(folder: ModelFolder) -> Heads | None:
    """Spans that any label fits."""
    if not (folder.network / GLINER_FILE).is_file():
        return None
    config: Mapping[str, Any] = {
        "span_mode": "markerV0",
        "subtoken_pooling": "first",
        "words_splitter_type": "whitespace",
        "ent_token": "<<ENT>>",
        "sep_token": "<<SEP>>",
        "embed_ent_token": True,
        "max_len": 384,
        "max_width": 12,
        "num_rnn_layers": 1,
        "hidden_size": 512,
        **read_object(folder.network, GLINER_FILE),
    }
    _check(config)
    reading = WordReading(
        marker=config["ent_token"],
        separator=config["sep_token"],
        marked=bool(config["embed_ent_token"]),
        max_words=positive(config, "max_len"),
        max_width=positive(config, "max_width"),
    )
    need_markers(folder.network, reading.marker, reading.separator)
    settings = {
        "reading": reading,
        "threshold": THRESHOLD,
        "mode": config["span_mode"],
        "pooling": config["subtoken_pooling"],
        "width": positive(config, "hidden_size"),
        "recurrent": int(config["num_rnn_layers"] or 0),
    }
    return Heads(
        specs=(HeadSpec("spans", "gliner", settings),),
        dimensions=settings["width"],
        prefix=PREFIX,
        longest=longest_of(folder),
    )


def _check(config: Mapping[str, Any]) -> None:
    """Raises ArchitectureUnknown for what is not written here."""
    if wanted := [what for key, what in REFUSED.items() if config.get(key)]:
        raise ArchitectureUnknown(f"A GLiNER with {', '.join(wanted)} is not known here, only the uni-encoder.")
    if config.get("model_type") == "gliner_streaming_span":
        raise ArchitectureUnknown("A GLiNER of streams is not known here, only the uni-encoder.")
    for key, known in (("span_mode", MODES), ("subtoken_pooling", POOLINGS), ("words_splitter_type", ("whitespace",))):
        if config[key] not in known:
            raise ArchitectureUnknown(f"GLiNER's {key} {config[key]!r} is not known here. Known: {', '.join(known)}.")
