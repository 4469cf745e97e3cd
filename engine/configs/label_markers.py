"""What all models share that read labels before a text: their markers are tokens, and so is their limit."""

from pathlib import Path

from engine.errors import FolderIncomplete
from engine.files.folder import ModelFolder

LONGEST = 2048
"""Tokens of a text for an encoder that has no table of positions, unless its tokenizer says another limit."""


def need_markers(network: Path, *markers: str) -> None:
    """Raises FolderIncomplete where a tokenizer does not know them."""
    read = (network / "tokenizer.json").read_text(encoding="utf-8")
    if lacking := [marker for marker in markers if f'"{marker}"' not in read]:
        raise FolderIncomplete(
            f"The tokenizer in {network} lacks {', '.join(lacking)}, which the model's prompts are made of. Save the "
            "model's own tokenizer beside its weights."
        )


def longest_of(folder: ModelFolder) -> int | None:
    """Tokens, where the encoder knows distances only; None: the limit is its table of positions."""
    relative = folder.config.get("relative_attention") and not folder.config.get("position_biased_input", True)
    return LONGEST if relative and folder.architecture.family == "deberta_v2" else None
