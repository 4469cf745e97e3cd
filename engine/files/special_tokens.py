"""The special tokens that a tokenizer's files name, without reading its vocabulary."""

from collections.abc import Mapping
from pathlib import Path

from engine.files.folder import read_optional

FILES = ("tokenizer_config.json", "special_tokens_map.json")


def special_tokens(folder: Path) -> Mapping[str, str]:
    """Such as `mask_token`, as text, by the name of its part; the first file that names it has the word."""
    found: dict[str, str] = {}
    for name in FILES:
        for part, token in read_optional(folder, name).items():
            text = token.get("content") if isinstance(token, dict) else token
            if part.endswith("_token") and isinstance(text, str):
                found.setdefault(part, text)
    return found
