"""What a folder says of GLiClass' head: how it reads labels and a text, and how it scores one against the other.

Free of torch. The uni-encoder; what the library has beside that is refused by name.
"""

from collections.abc import Mapping
from typing import Any

from engine.architectures import GLICLASS
from engine.configs.head_spec import Heads, HeadSpec
from engine.configs.label_markers import longest_of, need_markers
from engine.configs.label_reading import LabelReading
from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.files.folder import ModelFolder, positive, read_object

PREFIX = "model.encoder_model."
"""Of the encoder's tensors."""
KNOWN: Mapping[str, tuple[Any, ...]] = {
    "architecture_type": ("uni-encoder",),
    "scorer_type": ("simple", "weighted-dot", "mlp"),
    "class_token_pooling": ("first", "average"),
    "pooling_strategy": ("first", "last", "avg", "sum", "max", "rms", "abs_max", "abs_avg"),
    "encoder_layer_id": (-1,),
    "squeeze_layers": (False,),
    "use_segment_embeddings": (False,),
    "use_calibrator": (False,),
    "multimodal": (False,),
}
"""What is written here; the library takes the first of each where a config says nothing."""


def labels_of_texts(folder: ModelFolder) -> Heads | None:
    """Texts that any label fits."""
    if folder.config.get("architectures") != [GLICLASS]:
        return None
    config = {key: values[0] for key, values in KNOWN.items()} | dict(read_object(folder.network, "config.json"))
    for key, values in KNOWN.items():
        if config[key] not in values:
            known = ", ".join(map(str, values))
            raise ArchitectureUnknown(f"GLiClass' {key} {config[key]!r} is not known here. Known: {known}.")
    width = positive(folder.config, "hidden_size")
    if config.get("hidden_size") not in (None, width):
        raise ModelInvalid("GLiClass' config.json says a hidden_size other than its encoder's, which its scorer reads.")
    shifted = config["pooling_strategy"] == "last" and config.get("extract_text_features")
    if shifted:
        raise ArchitectureUnknown("GLiClass' pooling_strategy 'last' with extract_text_features is not known here.")
    reading = LabelReading(prompt_first=bool(config.get("prompt_first")))
    need_markers(folder.network, reading.marker, reading.separator)
    settings = {
        "reading": reading,
        "scorer": config["scorer_type"],
        "pooling": config["pooling_strategy"],
        "averaged": config["class_token_pooling"] != "first",  # noqa: S105
        "marked": bool(config.get("embed_class_token", True)),
        "text_alone": bool(config.get("extract_text_features")),
        "recurrent": bool(config.get("use_lstm")),
        "normalize": bool(config.get("normalize_features")),
        "activation": config.get("projector_hidden_act", "gelu"),
    }
    return Heads(
        specs=(HeadSpec("classes", "gliclass", settings),),
        dimensions=width,
        prefix=PREFIX,
        longest=longest_of(folder),
    )
