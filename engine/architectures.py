"""Which networks are written here, by the name that `config.json` gives them; free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import ArchitectureUnknown

Top = Literal["none", "masked_lm", "sequence", "tokens", "causal_lm"]
"""What a checkpoint has on its body: nothing, a vocabulary, labels of the text or of its tokens, a next token."""


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """What must be known of a family without building it."""

    renames: Mapping[str, str] = field(default_factory=dict)
    """Keys of its `config.json` that have other names elsewhere, by the common name."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Common keys that its configs may leave out."""
    padded_positions: bool = False
    """The first token's position comes after the padding token's id (RoBERTa and its descendants)."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One name in `architectures`."""

    family: str
    top: Top = "none"


DECODER: Mapping[str, Any] = {"rms_norm_eps": 1e-6, "hidden_act": "silu"}

FAMILY_FACTS: Mapping[str, FamilyFacts] = {
    "bert": FamilyFacts(),
    "modernbert": FamilyFacts(renames={"layer_norm_eps": "norm_eps", "hidden_act": "hidden_activation"}),
    "deberta_v2": FamilyFacts(
        defaults={"type_vocab_size": 0, "max_position_embeddings": 512, "layer_norm_eps": 1e-7, "hidden_act": "gelu"}
    ),
    "gemma3": FamilyFacts(
        renames={"hidden_act": "hidden_activation"},
        defaults={
            "num_key_value_heads": 4,
            "head_dim": 256,
            "query_pre_attn_scalar": 256,
            "sliding_window": 4096,
            "rms_norm_eps": 1e-6,
            "hidden_act": "gelu_pytorch_tanh",
        },
    ),
    "qwen2": FamilyFacts(defaults={**DECODER, "max_window_layers": 28}),
    "qwen3": FamilyFacts(defaults={**DECODER, "max_window_layers": 28, "head_dim": 128}),
    "mistral": FamilyFacts(defaults={**DECODER, "num_key_value_heads": 8, "sliding_window": 4096}),
    "llama": FamilyFacts(defaults=DECODER),
    "llama_bidirectional": FamilyFacts(defaults={**DECODER, "is_causal": False}),
}

ARCHITECTURES: Mapping[str, Architecture] = {
    "BertModel": Architecture("bert"),
    "BertForMaskedLM": Architecture("bert", "masked_lm"),
    "ModernBertModel": Architecture("modernbert"),
    "ModernBertForMaskedLM": Architecture("modernbert", "masked_lm"),
    "ModernBertForSequenceClassification": Architecture("modernbert", "sequence"),
    "ModernBertForTokenClassification": Architecture("modernbert", "tokens"),
    "DebertaV2Model": Architecture("deberta_v2"),
    "DebertaV2ForMaskedLM": Architecture("deberta_v2", "masked_lm"),
    "DebertaV2ForSequenceClassification": Architecture("deberta_v2", "sequence"),
    "DebertaV2ForTokenClassification": Architecture("deberta_v2", "tokens"),
    "Gemma3TextModel": Architecture("gemma3"),
    "Gemma3ForCausalLM": Architecture("gemma3", "causal_lm"),
    "Gemma3TextForSequenceClassification": Architecture("gemma3", "sequence"),
    "Qwen2Model": Architecture("qwen2"),
    "Qwen2ForCausalLM": Architecture("qwen2", "causal_lm"),
    "Qwen2ForSequenceClassification": Architecture("qwen2", "sequence"),
    "Qwen2ForTokenClassification": Architecture("qwen2", "tokens"),
    "Qwen3Model": Architecture("qwen3"),
    "Qwen3ForCausalLM": Architecture("qwen3", "causal_lm"),
    "Qwen3ForSequenceClassification": Architecture("qwen3", "sequence"),
    "Qwen3ForTokenClassification": Architecture("qwen3", "tokens"),
    "MistralModel": Architecture("mistral"),
    "MistralForCausalLM": Architecture("mistral", "causal_lm"),
    "MistralForSequenceClassification": Architecture("mistral", "sequence"),
    "MistralForTokenClassification": Architecture("mistral", "tokens"),
    "LlamaModel": Architecture("llama"),
    "LlamaForCausalLM": Architecture("llama", "causal_lm"),
    "LlamaForSequenceClassification": Architecture("llama", "sequence"),
    "LlamaForTokenClassification": Architecture("llama", "tokens"),
    "LlamaBidirectionalModel": Architecture("llama_bidirectional"),
}


def architecture_of(config: Mapping[str, Any]) -> tuple[str, Architecture]:
    """The name and the meaning of what a config asks for. Raises ArchitectureUnknown."""
    match config.get("architectures"):
        case [str(name)] if name in ARCHITECTURES:
            return name, ARCHITECTURES[name]
        case named:
            raise ArchitectureUnknown(
                f"The architecture {named or config.get('model_type')!r} is not known here. "
                f"Known: {', '.join(ARCHITECTURES)}."
            )


def common_config(config: Mapping[str, Any], family: str) -> Mapping[str, Any]:
    """A config under the common names of its keys, its own names kept beside them."""
    facts = FAMILY_FACTS[family]
    renamed = {common: config[own] for common, own in facts.renames.items() if own in config}
    return {**facts.defaults, **config, **renamed}


def first_position(config: Mapping[str, Any], family: str) -> int:
    """The position of a sequence's first token, and so the rows of the position table that no text can use."""
    if not FAMILY_FACTS[family].padded_positions:
        return 0
    padding = config.get("pad_token_id")
    return (1 if not isinstance(padding, int) else padding) + 1
