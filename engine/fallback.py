"""What is not written here but in the library transformers: recognised by its config, to be run there, padded.

Never with remote code: only classes of the library itself, found by `model_type`. It is an extra (`fallback`), imported
when the first such model is looked at.
"""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

from engine.architectures import FALLBACK, Architecture, architecture_of, common_config
from engine.errors import ArchitectureUnknown

LIBRARY = "transformers"
"""Also the key under which a recognised config keeps the folder's own, for the library."""
HEADED = ("Classification", "QuestionAnswering", "MultipleChoice", "Retrieval")
"""What the names of architectures end in whose heads would be lost: only bodies run in the library."""
OFFSET_TYPES = ("data2vec-text", "ibert", "longformer", "roberta-prelayernorm", "xlm-roberta-xl", "xmod")
"""Whose first position comes after the padding token's id."""
NO_TABLE = 512
"""Tokens of a model that has no table of positions and says no limit: what such models are trained on (T5)."""
KEYS = ("hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size")
DROPPED = ("auto_map", "dtype", "torch_dtype", "model_type", "_name_or_path", "transformers_version")
"""Keys of a config.json that shall not reach the library."""


def recognise(config: Mapping[str, Any]) -> tuple[str, Architecture, Mapping[str, Any]]:
    """The name and meaning of what a config asks for, and the config under common names: ours, else the library's.

    Raises ArchitectureUnknown.
    """
    try:
        name, architecture = architecture_of(config)
    except ArchitectureUnknown as unknown:
        return _by_library(config, unknown)
    return name, architecture, common_config(config, architecture.family)


def library_config(config: Mapping[str, Any]) -> Any:
    """The library's own object of a folder's config."""
    kept = {key: value for key, value in config.items() if key not in DROPPED}
    return importlib.import_module(LIBRARY).AutoConfig.for_model(config["model_type"], **kept)


def _by_library(config: Mapping[str, Any], unknown: ArchitectureUnknown) -> tuple[str, Architecture, Mapping[str, Any]]:
    if importlib.util.find_spec(LIBRARY) is None:
        raise ArchitectureUnknown(
            f"{unknown.message} The library transformers may know it: pip install 'shoal-server[fallback]'."
        ) from None
    library = importlib.import_module(LIBRARY)
    kind = config.get("model_type")
    named = config.get("architectures") or []
    name = str(named[0]) if named else f"{kind} (no architecture named)"
    if kind not in library.CONFIG_MAPPING or (named and not hasattr(library, name)):
        code = " Its own code is not run." if config.get("auto_map") else ""
        raise ArchitectureUnknown(
            f"{unknown.message} Nor does transformers {library.__version__} know {name} of model_type {kind!r}.{code}"
        ) from None
    if name.endswith(HEADED):
        raise ArchitectureUnknown(
            f"{unknown.message} In transformers only bodies are run from here, and {name} is more than one."
        ) from None
    if config.get("quantization_config"):
        raise ArchitectureUnknown("config.json has a quantization_config; only plain weights are run.") from None
    try:
        read = library_config(config)
        body = body_class(read)
    except Exception as error:  # whatever the library finds wrong with it
        raise ArchitectureUnknown(f"transformers does not take the config.json: {error}") from error
    if named and getattr(library, name).config_class is not type(read):
        raise ArchitectureUnknown(
            f"{unknown.message} Nor does transformers have {name} of model_type {kind!r}."
        ) from None
    if body is None or body.main_input_name != "input_ids" or (read.is_encoder_decoder and body is _general(read)):
        raise ArchitectureUnknown(f"{unknown.message} transformers has no encoder of texts of type {kind!r}.") from None
    return name, Architecture(FALLBACK), {**config, **_common(read), LIBRARY: dict(config)}


def body_class(read: Any) -> Any:
    """The library's class for a body of its config, of an encoder and decoder for the encoder; None: there is none."""
    mapping = importlib.import_module(LIBRARY).AutoModelForTextEncoding._model_mapping  # noqa: SLF001
    return mapping.get(type(read), None) or _general(read)


def _general(read: Any) -> Any:
    mapping = importlib.import_module(LIBRARY).AutoModel._model_mapping  # noqa: SLF001 - what the library asks itself
    found = mapping.get(type(read), None)
    return found[0] if isinstance(found, tuple) else found


def _common(read: Any) -> Mapping[str, Any]:
    """Our names of keys, by what the library reads under its own."""
    values: dict[str, Any] = {key: getattr(read, key, None) for key in KEYS}
    if missing := [key for key, value in values.items() if not isinstance(value, int)]:
        raise ArchitectureUnknown(f"The {read.model_type} of transformers is no text model: it has no {missing[0]}.")
    table = getattr(read, "max_position_embeddings", None)
    padding = getattr(read, "pad_token_id", None)
    if isinstance(table, int) and read.model_type in OFFSET_TYPES:
        table -= (padding if isinstance(padding, int) else 1) + 1
    intermediate = getattr(read, "intermediate_size", None) or getattr(read, "d_ff", None)
    return {
        **values,
        "max_position_embeddings": table if isinstance(table, int) and table > 0 else NO_TABLE,
        "intermediate_size": intermediate or 4 * values["hidden_size"],
    }
