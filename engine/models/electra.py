"""ELECTRA: BERT whose embeddings may be narrower than its layers (Clark et al. 2020; Hugging Face `ElectraModel`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.layers.attention import Attention
from engine.layers.encoder import encoder_layers, positions_of
from engine.layers.tokens import Tokens
from engine.models import bert
from engine.models.bert import BertConfig, BertEmbeddings
from engine.weights import KeyMap


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectraConfig(BertConfig):
    """What decides the network."""

    embedding_size: int


def read_config(config: Mapping[str, Any]) -> ElectraConfig:
    """From a `config.json`; what it asks for and this file does not do is refused."""
    positions_of(config, ("absolute",))
    return ElectraConfig.from_json(config)


class Electra(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: ElectraConfig, attend: Attention) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(config, config.embedding_size)
        narrow = config.embedding_size != config.hidden_size
        self.embeddings_project = nn.Linear(config.embedding_size, config.hidden_size) if narrow else None
        self.layers = encoder_layers(config, attend)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        if self.embeddings_project is not None:
            x = self.embeddings_project(x)
        for layer in self.layers:
            x = layer(x, tokens.sequences)
        return x


KEYS = KeyMap(
    prefix="electra.",
    renames=bert.RENAMES,
    fused={"qkv": ("query", "key", "value")},
    ignored=(
        bert.BUFFERS,
        r"(generator_predictions|generator_lm_head|discriminator_predictions)\..*",
        r"(classifier|summary)\..*",
    ),
)
