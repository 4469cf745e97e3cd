"""Gemma 1: scaled embeddings, norms' weights stored less 1, heads of their own width (Hugging Face `GemmaModel`)."""

from collections.abc import Mapping
from typing import Any

from engine.errors import ArchitectureUnknown
from engine.layers.decoder import DecoderConfig, read_decoder
from engine.layers.rope import Rope


def read_config(config: Mapping[str, Any]) -> DecoderConfig:
    """From a `config.json`; what it asks for and the decoder does not do is refused."""
    if config.get("use_bidirectional_attention"):
        raise ArchitectureUnknown("A Gemma 1 with use_bidirectional_attention is not known here.")
    biased = bool(config.get("attention_bias"))
    common = read_decoder(config)
    if common["hidden_act"] == "gelu":  # what the first releases say, and mean its approximation by tanh
        common["hidden_act"] = "gelu_pytorch_tanh"
    return DecoderConfig(
        **common,
        rope=Rope.from_json(config, base=10_000.0),
        windows=(None,) * config["num_hidden_layers"],
        qkv_bias=biased,
        out_bias=biased,
        centred=True,
        scaled=True,
    )
