"""One file per model family: config, modules, the packed forward and the checkpoint key map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.layers.attention import Attention
from engine.models import bert
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True)
class Family:
    """How to build one family. The built module maps `Tokens` to hidden states (T, H)."""

    build: Callable[[Mapping[str, Any], Attention], nn.Module]
    """From a `config.json` under the common names of its keys; parameters are left unset."""
    keys: KeyMap
    words: Callable[[Any], Tensor]
    """A built module's table of words (V, H), which heads over the vocabulary share."""


FAMILIES: Mapping[str, Family] = {
    "bert": Family(
        lambda config, attend: bert.Bert(bert.BertConfig.from_json(config), attend),
        bert.KEYS,
        lambda body: body.embeddings.word.weight,
    ),
}
