"""Which networks are written here, by the name that `config.json` gives them; free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.errors import ArchitectureUnknown

Top = Literal["none", "masked_lm", "sequence", "tokens", "causal_lm"]
"""What a checkpoint has on its body: nothing, a vocabulary, labels of the text or of its tokens, a next token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """What a family's layers hold at once beside what all layers do; `calibration` counts it."""

    gated: bool = False
    """The feed-forward network has two intermediates, or is one of experts."""
    pre_norm: bool = False
    """A layer's input stays beside its normalised one."""
    angles: int = 0
    """Tables of rotary angles."""
    new_queries: bool = False
    """Queries and keys are turned or normalised, so that there are two of each for a while."""
    masked: bool = False
    """Attention is causal, or by windows."""
    biased: bool = False
    """Something is added to the products of attention."""
    disentangled: bool = False
    """Attention is DeBERTa's."""


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """What must be known of a family without building it."""

    renames: Mapping[str, str] = field(default_factory=dict)
    """Keys of its `config.json` that have other names elsewhere, by the common name."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Common keys that its configs may leave out."""
    layer: LayerFacts = LayerFacts()
    padded_positions: bool = False
    """The first token's position comes after the padding token's id (RoBERTa and its descendants)."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One name in `architectures`."""

    family: str
    top: Top = "none"


DECODER: Mapping[str, Any] = {"rms_norm_eps": 1e-6, "hidden_act": "silu"}
DECODER_LAYER = LayerFacts(gated=True, pre_norm=True, angles=1, new_queries=True, masked=True)
ROTARY_LAYER = LayerFacts(gated=True, angles=1, new_queries=True)
LOCAL_LAYER = LayerFacts(gated=True, pre_norm=True, angles=2, new_queries=True, masked=True)

FAMILY_FACTS: Mapping[str, FamilyFacts] = {
    "bert": FamilyFacts(),
    "roberta": FamilyFacts(padded_positions=True),
    "jina_v3": FamilyFacts(
        layer=LayerFacts(angles=1, new_queries=True),
        padded_positions=True,
        defaults={"position_embedding_type": "rotary"},
    ),
    "distilbert": FamilyFacts(
        renames={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
        },
        defaults={"layer_norm_eps": 1e-12},
    ),
    "electra": FamilyFacts(),
    "mpnet": FamilyFacts(layer=LayerFacts(biased=True), padded_positions=True),
    "nomic_bert": FamilyFacts(
        layer=ROTARY_LAYER,
        renames={
            "hidden_size": "n_embd",
            "num_hidden_layers": "n_layer",
            "num_attention_heads": "n_head",
            "intermediate_size": "n_inner",
            "max_position_embeddings": "n_positions",
            "layer_norm_eps": "layer_norm_epsilon",
        },
    ),
    "gte": FamilyFacts(layer=ROTARY_LAYER),
    "jina_bert": FamilyFacts(layer=LayerFacts(gated=True, new_queries=True, biased=True)),
    "modernbert": FamilyFacts(
        layer=LOCAL_LAYER, renames={"layer_norm_eps": "norm_eps", "hidden_act": "hidden_activation"}
    ),
    "deberta_v2": FamilyFacts(
        layer=LayerFacts(disentangled=True),
        defaults={"type_vocab_size": 0, "max_position_embeddings": 512, "layer_norm_eps": 1e-7, "hidden_act": "gelu"},
    ),
    "gemma": FamilyFacts(
        layer=DECODER_LAYER,
        defaults={"num_key_value_heads": 16, "head_dim": 256, "rms_norm_eps": 1e-6, "hidden_act": "gelu_pytorch_tanh"},
    ),
    "gemma3": FamilyFacts(
        layer=LOCAL_LAYER,
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
    "qwen2": FamilyFacts(layer=DECODER_LAYER, defaults={**DECODER, "max_window_layers": 28}),
    "qwen3": FamilyFacts(layer=DECODER_LAYER, defaults={**DECODER, "max_window_layers": 28, "head_dim": 128}),
    "mistral": FamilyFacts(layer=DECODER_LAYER, defaults={**DECODER, "num_key_value_heads": 8, "sliding_window": 4096}),
    "llama": FamilyFacts(layer=DECODER_LAYER, defaults=DECODER),
    "llama_bidirectional": FamilyFacts(layer=DECODER_LAYER, defaults={**DECODER, "is_causal": False}),
}

SUFFIXES: Mapping[Top, str] = {
    "none": "Model",
    "masked_lm": "ForMaskedLM",
    "causal_lm": "ForCausalLM",
    "sequence": "ForSequenceClassification",
    "tokens": "ForTokenClassification",
}

ENCODERS: Mapping[str, str] = {
    "Bert": "bert",
    "Roberta": "roberta",
    "XLMRoberta": "roberta",
    "Camembert": "roberta",
    "JinaEmbeddingsV3": "jina_v3",
    "DistilBert": "distilbert",
    "Electra": "electra",
    "MPNet": "mpnet",
    "NomicBert": "nomic_bert",
    "New": "gte",
    "Gte": "gte",
    "JinaBert": "jina_bert",
    "ModernBert": "modernbert",
    "DebertaV2": "deberta_v2",
}
DECODERS: Mapping[str, str] = {
    "Qwen2": "qwen2",
    "Qwen3": "qwen3",
    "Mistral": "mistral",
    "Llama": "llama",
    "Gemma": "gemma",
}
"""Families by what their names begin with; how they go on says what is on the body."""

ARCHITECTURES: Mapping[str, Architecture] = {
    **{
        name + suffix: Architecture(family, top)
        for names, without in ((ENCODERS, "causal_lm"), (DECODERS, "masked_lm"))
        for name, family in names.items()
        for top, suffix in SUFFIXES.items()
        if top != without
    },
    "BertForPreTraining": Architecture("bert", "masked_lm"),
    "ElectraForPreTraining": Architecture("electra"),
    "Gemma3TextModel": Architecture("gemma3"),
    "Gemma3ForCausalLM": Architecture("gemma3", "causal_lm"),
    "Gemma3TextForSequenceClassification": Architecture("gemma3", "sequence"),
    "LlamaBidirectionalModel": Architecture("llama_bidirectional"),
}


COLBERT, GLINER, GLICLASS = "HF_ColBERT", "GLiNER", "GLiClassModel"
"""Names that say what is on the body, which is of any family, by its `model_type`."""
BARE: Mapping[str, str] = {
    "bert": "BertModel",
    "roberta": "RobertaModel",
    "xlm-roberta": "XLMRobertaModel",
    "camembert": "CamembertModel",
    "distilbert": "DistilBertModel",
    "electra": "ElectraModel",
    "mpnet": "MPNetModel",
    "nomic_bert": "NomicBertModel",
    "modernbert": "ModernBertModel",
    "deberta-v2": "DebertaV2Model",
    "jina_embeddings_v3": "JinaEmbeddingsV3Model",
    "gemma3_text": "Gemma3TextModel",
    "qwen2": "Qwen2Model",
    "qwen3": "Qwen3Model",
    "mistral": "MistralModel",
    "llama": "LlamaModel",
}
"""The body that a `model_type` means where `architectures` is missing."""
FALLBACK = "transformers"
"""The family of all bodies that are not written here and run, padded, in that library."""
FALLBACK_FACTS = FamilyFacts(layer=LayerFacts(gated=True, pre_norm=True, masked=True, biased=True))


def architecture_of(config: Mapping[str, Any]) -> tuple[str, Architecture]:
    """The name and the meaning of what a config asks for. Raises ArchitectureUnknown."""
    bare = BARE.get(str(config.get("model_type")))
    match config.get("architectures"):
        case [str(name)] if name in ARCHITECTURES:
            return name, ARCHITECTURES[name]
        case [str(name)] if name in (COLBERT, GLINER, GLICLASS) and bare is not None:
            return name, Architecture(ARCHITECTURES[bare].family)
        case None | [] if bare is not None:
            return bare, ARCHITECTURES[bare]
        case named:
            raise ArchitectureUnknown(
                f"The architecture {named or config.get('model_type')!r} is not known here. "
                f"Known: {', '.join(ARCHITECTURES)}."
            )


def facts_of(family: str) -> FamilyFacts:
    """Of a family that is written here, or of the fallback."""
    return FALLBACK_FACTS if family == FALLBACK else FAMILY_FACTS[family]


def common_config(config: Mapping[str, Any], family: str) -> Mapping[str, Any]:
    """A config under the common names of its keys, its own names kept beside them."""
    facts = facts_of(family)
    renamed = {common: config[own] for common, own in facts.renames.items() if own in config}
    return {**facts.defaults, **config, **renamed}


def first_position(config: Mapping[str, Any], family: str) -> int:
    """The position of a sequence's first token, and so the rows of the position table that no text can use."""
    if not facts_of(family).padded_positions:
        return 0
    padding = config.get("pad_token_id")
    return (1 if not isinstance(padding, int) else padding) + 1
