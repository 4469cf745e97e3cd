"""One file per model family: config, modules, the packed forward and the checkpoint key map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.layers import decoder
from engine.layers.attention import Attention
from engine.models import bert, deberta_v2, gemma3, llama, mistral, modernbert, qwen2, qwen3
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True)
class Family:
    """How to build one family. The built module maps `Tokens` to hidden states (T, H)."""

    build: Callable[[Mapping[str, Any], Attention], nn.Module]
    """From a `config.json` under the common names of its keys; parameters are left unset."""
    keys: KeyMap
    words: Callable[[Any], Tensor]
    """A built module's table of words (V, H), which heads over the vocabulary share."""


def _decoder(read: Callable[[Mapping[str, Any]], decoder.DecoderConfig]) -> Family:
    """A family that is a decoder with settings of its own."""
    return Family(
        lambda config, attend: decoder.Decoder(read(config), attend), decoder.KEYS, lambda body: body.word.weight
    )


FAMILIES: Mapping[str, Family] = {
    "bert": Family(
        lambda config, attend: bert.Bert(bert.BertConfig.from_json(config), attend),
        bert.KEYS,
        lambda body: body.embeddings.word.weight,
    ),
    "modernbert": Family(
        lambda config, attend: modernbert.ModernBert(modernbert.ModernBertConfig.from_json(config), attend),
        modernbert.KEYS,
        lambda body: body.word.weight,
    ),
    "deberta_v2": Family(
        lambda config, attend: deberta_v2.DebertaV2(deberta_v2.DebertaV2Config.from_json(config), attend),
        deberta_v2.KEYS,
        lambda body: body.embeddings.word.weight,
    ),
    "gemma3": Family(
        lambda config, attend: gemma3.Gemma3(gemma3.Gemma3Config.from_json(config), attend),
        gemma3.KEYS,
        lambda body: body.word.weight,
    ),
    "qwen2": _decoder(qwen2.read_config),
    "qwen3": _decoder(qwen3.read_config),
    "mistral": _decoder(mistral.read_config),
    "llama": _decoder(llama.read_config),
    "llama_bidirectional": _decoder(llama.read_config),
}
