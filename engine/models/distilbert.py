"""DistilBERT: BERT without types of tokens (Sanh et al. 2019; Hugging Face `DistilBertModel`)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from engine.layers.attention import Attention
from engine.layers.embedding import Embedding
from engine.layers.encoder import EncoderConfig, encoder_layers, positions_of
from engine.layers.tokens import Tokens
from engine.models import bert
from engine.weights import KeyMap


def read_config(config: Mapping[str, Any]) -> EncoderConfig:
    """From a `config.json` under the common names. Sinusoidal positions are stored as learned ones are."""
    positions_of(config, ("absolute",))
    return EncoderConfig.from_json(config)


class DistilBertEmbeddings(nn.Module):
    """Words and positions, summed and normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.word = Embedding(config.vocab_size, config.hidden_size)
        self.position = Embedding(config.max_position_embeddings, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.norm(self.word(tokens.ids) + self.position(tokens.positions))
        return x


class DistilBert(nn.Module):
    """The encoder without a head."""

    def __init__(self, config: EncoderConfig, attend: Attention) -> None:
        super().__init__()
        self.embeddings = DistilBertEmbeddings(config)
        self.layers = encoder_layers(config, attend)

    def forward(self, tokens: Tokens) -> Tensor:
        """(T,) -> (T, H)."""
        x: Tensor = self.embeddings(tokens)
        for layer in self.layers:
            x = layer(x, tokens.sequences)
        return x


KEYS = KeyMap(
    prefix="distilbert.",
    renames=(
        *bert.RENAMES,
        ("transformer.layer.", "layers."),
        (".attention.out_lin.", ".attention.out."),
        (".sa_layer_norm.", ".attention_norm."),
        (".ffn.lin1.", ".mlp.up."),
        (".ffn.lin2.", ".mlp.down."),
        (".output_layer_norm.", ".norm."),
    ),
    fused={"qkv": ("q_lin", "k_lin", "v_lin")},
    ignored=(
        bert.BUFFERS,
        r"(vocab_transform|vocab_layer_norm|vocab_projector|pre_classifier|classifier)\.(weight|bias)",
    ),
)
