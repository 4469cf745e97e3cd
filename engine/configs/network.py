"""The config of a folder's network: `config.json`, or one inside of the config of a model that reads labels.

GLiNER has no `config.json`, but `gliner_config.json`; GLiClass has a `config.json` of its own. Both hold the config of
their encoder, which says nothing of `architectures`, and the size of its vocabulary with the markers of labels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.architectures import GLICLASS, GLINER
from engine.errors import ArchitectureUnknown
from engine.files.folder import read_object

GLINER_FILE = "gliner_config.json"


def network_config(folder: Path) -> Mapping[str, Any]:
    """The network's config, under its own names; `architectures` names what is on it."""
    if (folder / GLINER_FILE).is_file():
        return _encoder(read_object(folder, GLINER_FILE), GLINER)
    config = read_object(folder, "config.json")
    return _encoder(config, GLICLASS) if config.get("architectures") == [GLICLASS] else config


def _encoder(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    encoder = config.get("encoder_config")
    if not isinstance(encoder, dict):
        raise ArchitectureUnknown(
            "The model's config has no encoder_config, and which encoder it means is not known here. Save it anew with "
            f"the current library of {name.removesuffix('Model')}, which writes encoder and tokenizer beside weights."
        )
    size = config.get("vocab_size")
    vocabulary = {"vocab_size": size} if isinstance(size, int) and size > 0 else {}
    # transformers takes an encoder that says no type for this one.
    return {"model_type": "deberta-v2", **encoder, **vocabulary, "architectures": [name]}
