"""How a model folder asks for its tokens to be pooled, in sentence-transformers' two formats.

Until 5.x a boolean per mode (`pooling_mode_mean_tokens: true`), since then a name or a list of them
(`pooling_mode: "mean"`).
"""

from collections.abc import Mapping
from typing import Any

from engine.errors import ArchitectureUnknown, ModelInvalid

LEGACY_MODES: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
POOLINGS = ("mean", "cls")
"""Those that are written in `engine/heads`."""


def read_pooling(config: Mapping[str, Any], *, has_prompts: bool) -> str:
    """The one pooling mode that a Pooling module's config names."""
    named = config.get("pooling_mode")
    modes = (
        [mode for key, mode in LEGACY_MODES.items() if config.get(key) is True]
        if named is None
        else [named]
        if isinstance(named, str)
        else named
    )
    if not isinstance(modes, list) or not modes:
        raise ModelInvalid("The pooling config names no pooling mode.")
    if len(modes) > 1 or modes[0] not in POOLINGS:
        wanted = " + ".join(map(str, modes))
        raise ArchitectureUnknown(
            f"The pooling {wanted} is not known here. Known, one at a time: {', '.join(POOLINGS)}."
        )
    if config.get("include_prompt") is False and has_prompts:
        raise ArchitectureUnknown(
            "The model leaves its prompts out of the pooling (include_prompt: false), which is not known here."
        )
    return str(modes[0])
