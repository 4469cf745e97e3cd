"""Mistral: every layer looks back over one window, if any (Jiang et al. 2023; Hugging Face `MistralModel`)."""

from collections.abc import Mapping
from typing import Any

from engine.layers.decoder import DecoderConfig, read_decoder, window
from engine.layers.rope import Rope


def read_config(config: Mapping[str, Any]) -> DecoderConfig:
    """From a `config.json`; what it asks for and the decoder does not do is refused."""
    common = read_decoder(config)
    size = config.get("sliding_window")
    far = None if size is None else window(size, causal=common["causal"])
    return DecoderConfig(
        **common, rope=Rope.from_json(config, base=10_000.0), windows=(far,) * config["num_hidden_layers"]
    )
