"""One file per model family: config, modules, the packed forward and the checkpoint key map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.layers.attention import Attention
from engine.models import bert
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True)
class Family:
    """How to build one family. The built module maps (input_ids, positions, sequences) to (T, H)."""

    build: Callable[[Mapping[str, Any], Attention], nn.Module]
    """From a `config.json`; parameters are left unset."""
    keys: KeyMap


FAMILIES: Mapping[str, Family] = {
    "bert": Family(lambda config, attend: bert.Bert(bert.BertConfig.from_json(config), attend), bert.KEYS),
}
