"""Qwen2: biased queries, keys and values (Hugging Face `Qwen2Model`); both ways where `is_causal` is false."""

from collections.abc import Mapping
from typing import Any

from engine.layers.decoder import DecoderConfig, late_windows, read_decoder
from engine.layers.rope import Rope


def read_config(config: Mapping[str, Any]) -> DecoderConfig:
    """From a `config.json`; what it asks for and the decoder does not do is refused."""
    common = read_decoder(config)
    return DecoderConfig(
        **common,
        rope=Rope.from_json(config, base=10_000.0),
        windows=late_windows(config, causal=common["causal"]),
        qkv_bias=True,
    )
