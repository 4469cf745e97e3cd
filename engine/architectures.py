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


FAMILY_FACTS: Mapping[str, FamilyFacts] = {
    "bert": FamilyFacts(),
}

ARCHITECTURES: Mapping[str, Architecture] = {
    "BertModel": Architecture("bert"),
    "BertForMaskedLM": Architecture("bert", "masked_lm"),
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
