"""How a model folder asks for its tokens to be pooled, in sentence-transformers' two formats.

Until 5.x a boolean per mode (`pooling_mode_mean_tokens: true`), since then a name or a list of them
(`pooling_mode: "mean"`). Where there are several, their vectors are laid one after the other.
"""

from collections.abc import Mapping
from typing import Any

from engine.errors import ArchitectureUnknown, ModelInvalid

LEGACY_MODES: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""In the order in which their vectors are laid."""
POOLINGS = tuple(LEGACY_MODES.values())


def read_pooling(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The pooling modes that a Pooling module's config names, at least one."""
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
    if unknown := [str(mode) for mode in modes if mode not in POOLINGS]:
        raise ArchitectureUnknown(f"The pooling {', '.join(unknown)} is not known here. Known: {', '.join(POOLINGS)}.")
    return tuple(map(str, modes))
