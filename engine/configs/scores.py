"""What a folder says of a head that scores labels, of texts or of tokens: which labels, and what becomes of logits.

Free of torch.
"""

from collections.abc import Mapping
from typing import Any

from engine.architectures import Top
from engine.configs.head_spec import Heads, HeadSpec
from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.files.folder import ModelFolder, positive
from engine.files.special_tokens import special_tokens

UNLABELLED = 2
"""Labels of a config that says nothing of them (transformers)."""

ACTIVATIONS = ("Sigmoid", "Identity", "Tanh")
"""Of torch, that may follow the one logit of a cross-encoder."""


def labelled(folder: ModelFolder) -> Heads | None:
    """Labels of texts: classifiers and, with pairs, cross-encoders."""
    if not _speaks(folder, "sequence"):
        return None
    config = folder.config
    names = read_labels(config)
    pooling = config.get("classifier_pooling", "cls") if folder.architecture.family == "modernbert" else None
    if pooling not in (None, "cls", "mean"):
        raise ArchitectureUnknown(f"The classifier_pooling {pooling!r} is not known here, only cls and mean.")
    settings = {
        "family": folder.architecture.family,
        "labels": names,
        "problem": config.get("problem_type"),
        "activation": read_activation(folder, labels=len(names)),
        "pooling": pooling,
    }
    return Heads(specs=(HeadSpec("scores", "sequence", settings),), dimensions=positive(config, "hidden_size"))


def tagged(folder: ModelFolder) -> Heads | None:
    """Labels of tokens: parts of speech, names."""
    if not _speaks(folder, "tokens"):
        return None
    settings = {
        "family": folder.architecture.family,
        "labels": read_labels(folder.config),
        "unknown": special_tokens(folder.network).get("unk_token"),
    }
    return Heads(
        specs=(HeadSpec("token_scores", "tokens", settings),), dimensions=positive(folder.config, "hidden_size")
    )


def _speaks(folder: ModelFolder, top: Top) -> bool:
    """Whether the architecture has this on its body, and no module says otherwise."""
    return folder.architecture.top == top and folder.kinds in ([], ["Transformer"])


def read_labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of a config's labels, in the order of their logits."""
    named = config.get("id2label")
    if not named:
        count = config.get("num_labels", UNLABELLED)
        if not isinstance(count, int) or count < 1:
            raise ModelInvalid(f"config.json says num_labels is {count!r}.")
        return tuple(f"LABEL_{place}" for place in range(count))
    if not isinstance(named, Mapping) or set(named) != {str(place) for place in range(len(named))}:
        raise ModelInvalid("config.json has an id2label that does not number its labels from 0.")
    return tuple(str(named[str(place)]) for place in range(len(named)))


def read_activation(folder: ModelFolder, *, labels: int) -> str:
    """What follows a cross-encoder's logits: by its own word, else sigmoid for one label (sentence-transformers)."""
    stated = (
        folder.settings.get("activation_fn")
        or (folder.config.get("sentence_transformers") or {}).get("activation_fn")
        or folder.config.get("sbert_ce_default_activation_function")
    )
    if stated is None:
        return "sigmoid" if labels == 1 else "identity"
    package, _, name = str(stated).rpartition(".")
    if not package.startswith("torch.") or name not in ACTIVATIONS:
        raise ArchitectureUnknown(
            f"The activation {stated!r} of a cross-encoder is not known here. Known, of torch.nn: "
            f"{', '.join(ACTIVATIONS)}."
        )
    return name.lower()
