"""Qwen3: each head's queries and keys normalised, heads of a width of their own (Hugging Face `Qwen3Model`)."""

from collections.abc import Mapping
from typing import Any

from engine.layers.decoder import DecoderConfig, late_windows, read_decoder
from engine.layers.rope import Rope


def read_config(config: Mapping[str, Any]) -> DecoderConfig:
    """From a `config.json`; what it asks for and the decoder does not do is refused."""
    common = read_decoder(config)
    biased = bool(config.get("attention_bias"))
    return DecoderConfig(
        **common,
        rope=Rope.from_json(config, base=10_000.0),
        windows=late_windows(config, causal=common["causal"]),
        qkv_bias=biased,
        out_bias=biased,
        qk_norm=True,
    )
