"""Llama 1 to 3.2 (Touvron et al. 2023; Hugging Face `LlamaModel`), and those of them that look both ways."""

from collections.abc import Mapping
from typing import Any

from engine.layers.decoder import DecoderConfig, read_decoder
from engine.layers.rope import Rope


def read_config(config: Mapping[str, Any]) -> DecoderConfig:
    """From a `config.json`; what it asks for and the decoder does not do is refused."""
    biased = bool(config.get("attention_bias"))
    return DecoderConfig(
        **read_decoder(config),
        rope=Rope.from_json(config, base=10_000.0),
        windows=(None,) * config["num_hidden_layers"],
        qkv_bias=biased,
        out_bias=biased,
        mlp_bias=bool(config.get("mlp_bias")),
    )
