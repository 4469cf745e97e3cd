"""One file per model family: config, modules, the packed forward and the checkpoint key map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from engine.layers import decoder
from engine.layers.attention import Attention
from engine.models import (
    bert,
    deberta_v2,
    distilbert,
    electra,
    gemma,
    gemma3,
    gte,
    jina_bert,
    llama,
    mistral,
    modernbert,
    mpnet,
    nomic_bert,
    qwen2,
    qwen3,
    roberta,
)
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True)
class Family:
    """How to build one family. The built module maps `Tokens` to hidden states (T, H)."""

    build: Callable[[Mapping[str, Any], Attention], nn.Module]
    """From a `config.json` under the common names of its keys; parameters are left unset."""
    keys: KeyMap
    words: Callable[[Any], Tensor]
    """A built module's table of words (V, H), which heads over the vocabulary share."""


Config = TypeVar("Config")


def _encoder(
    read: Callable[[Mapping[str, Any]], Config], build: Callable[[Config, Attention], nn.Module], keys: KeyMap
) -> Family:
    """A family with a configuration and a network of its own."""
    return Family(lambda config, attend: build(read(config), attend), keys, lambda body: body.embeddings.word.weight)


def _decoder(read: Callable[[Mapping[str, Any]], decoder.DecoderConfig]) -> Family:
    """A family that is a decoder with settings of its own."""
    return Family(
        lambda config, attend: decoder.Decoder(read(config), attend), decoder.KEYS, lambda body: body.word.weight
    )


FAMILIES: Mapping[str, Family] = {
    "bert": _encoder(bert.read_config, bert.Bert, bert.KEYS),
    "roberta": _encoder(roberta.read_config, roberta.Roberta, roberta.KEYS),
    "jina_v3": _encoder(roberta.read_config, roberta.Roberta, roberta.KEYS),
    "distilbert": _encoder(distilbert.read_config, distilbert.DistilBert, distilbert.KEYS),
    "electra": _encoder(electra.read_config, electra.Electra, electra.KEYS),
    "mpnet": _encoder(mpnet.read_config, mpnet.Mpnet, mpnet.KEYS),
    "nomic_bert": _encoder(nomic_bert.read_config, nomic_bert.NomicBert, nomic_bert.KEYS),
    "gte": _encoder(gte.read_config, gte.Gte, gte.KEYS),
    "jina_bert": _encoder(jina_bert.read_config, jina_bert.JinaBert, jina_bert.KEYS),
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
    "gemma": _decoder(gemma.read_config),
    "qwen2": _decoder(qwen2.read_config),
    "qwen3": _decoder(qwen3.read_config),
    "mistral": _decoder(mistral.read_config),
    "llama": _decoder(llama.read_config),
    "llama_bidirectional": _decoder(llama.read_config),
}
