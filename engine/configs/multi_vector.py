"""Which models give a vector for every token, in the three formats of late interaction.

- Stanford: `architectures: ["HF_ColBERT"]`, `linear.weight` beside the network's, settings in `artifact.metadata`.
- PyLate: `model_type: "ColBERT"` and the settings in `config_sentence_transformers.json`, a Dense module.
- sentence-transformers 6: modules of its own, the settings in `MultiVectorMask` and the Transformer module.

Defaults are those of sentence-transformers' `MultiVectorEncoder`, which reads all three.
"""

import string
from collections.abc import Mapping, Sequence
from typing import Any

from engine.architectures import COLBERT
from engine.configs.head_spec import Heads, HeadSpec
from engine.configs.token_reading import Expansion, TokenReading
from engine.configs.vector_steps import VectorStep, read_step, read_tensors, width_after
from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.files.folder import NETWORKS, ModelFolder, inside, positive, read_optional
from engine.files.special_tokens import special_tokens

MASK = "MultiVectorMask"
PUNCTUATION = tuple(string.punctuation)
LENGTH = 32
"""Of an expanded query whose model does not say."""
LIMITS = "sentence_bert_config.json"


def late_interaction(folder: ModelFolder) -> Heads | None:
    """A vector for every token, compared by the sum of the greatest products."""
    if COLBERT in (folder.config.get("architectures") or ()):
        return _stanford(folder)
    if folder.settings.get("model_type") == "ColBERT":
        return _pylate(folder)
    return _modules(folder) if MASK in folder.kinds else None


def _stanford(folder: ModelFolder) -> Heads:
    metadata = read_optional(folder.path, "artifact.metadata")
    projection = folder.tensors.get("linear.weight")
    if projection is None or len(projection.shape) != 2:
        raise ModelInvalid("The checkpoint has no linear.weight, which a ColBERT model of this format needs.")
    out, width = projection.shape
    step = VectorStep(kind="dense", path="linear.", width=width, out=out)
    expansion = {
        "attend": bool(metadata.get("attend_to_mask_tokens")),
        "length": metadata.get("query_maxlen") or LENGTH,
    }
    reading = TokenReading(
        query_prefix=str(metadata.get("query_token_id") or "[unused0]"),
        document_prefix=str(metadata.get("doc_token_id") or "[unused1]"),
        document_length=_length(metadata, "doc_maxlen"),
        expansion=_expansion(folder, expansion),
        skipped=PUNCTUATION if metadata.get("mask_punctuation", True) else (),
    )
    return _heads(folder, (step, VectorStep(kind="normalize")), reading)


def _pylate(folder: ModelFolder) -> Heads:
    settings = folder.settings
    expansion: Mapping[str, Any] | None = settings.get("query_expansion")
    if "query_expansion" not in settings and settings.get("do_query_expansion") is not False:
        attend = settings.get("attend_to_expansion_tokens", settings.get("attend_to_mask_tokens"))
        expansion = {"attend": bool(attend), "length": settings.get("query_length") or LENGTH}
    skipped = settings.get("skiplist_words")
    reading = TokenReading(
        query_prefix=settings.get("query_prefix") or "",
        document_prefix=settings.get("document_prefix") or "",
        query_length=_length(settings, "query_length"),
        document_length=_length(settings, "document_length"),
        expansion=_expansion(folder, expansion),
        skipped=PUNCTUATION if skipped is None else tuple(map(str, skipped)),
        mean=_mean(settings),
    )
    return _heads(folder, (*_steps(folder), VectorStep(kind="normalize")), reading)


def _modules(folder: ModelFolder) -> Heads:
    mask = next(module for module in folder.modules if module.kind == MASK)
    masking = read_optional(inside(folder.path, mask.path), "config.json")
    if masking.get("keep_only_token_ids"):
        raise ArchitectureUnknown("The model keeps the vectors of some tokens only (keep_only_token_ids).")
    limits = read_optional(folder.network, LIMITS)
    sides = masking.get("skiplist_tasks", ["document"])
    reading = TokenReading(
        query_length=_length(limits, "query_length"),
        document_length=_length(limits, "document_length"),
        expansion=_expansion(folder, limits.get("query_expansion")),
        skipped=tuple(map(str, masking.get("skiplist_words") or ())),
        skips_in=(sides,) if isinstance(sides, str) else tuple(sides),
        mean=_mean(folder.settings),
    )
    return _heads(folder, _steps(folder), reading)


def _steps(folder: ModelFolder) -> tuple[VectorStep, ...]:
    """What the modules after the network do to tokens."""
    if not folder.kinds or folder.kinds[0] not in NETWORKS or folder.queries != folder.modules:
        raise ArchitectureUnknown(f"The model's modules are {', '.join(folder.kinds)}; a network has to come first.")
    steps = []
    for module in folder.modules[1:]:
        if module.kind == MASK:
            continue
        step, level = read_step(folder.path, module, "tokens" if module.kind == "Dense" else "text")
        if level != "tokens":
            raise ArchitectureUnknown(f"The module {module.path} changes the vector of a text; this model has none.")
        if step is not None:
            steps.append(step)
    return tuple(steps)


def _heads(folder: ModelFolder, steps: Sequence[VectorStep], reading: TokenReading) -> Heads:
    width = positive(folder.config, "hidden_size")
    return Heads(
        specs=(HeadSpec("multi", "token_vectors", {"steps": tuple(steps), "reading": reading}),),
        dimensions=width_after(steps, width),
        tensors=read_tensors(folder.path, steps),
    )


def _expansion(folder: ModelFolder, config: object) -> Expansion | None:
    """As sentence-transformers' `query_expansion`: strategy, attend, token, length."""
    if config is None:
        return None
    length = config.get("length") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(length, int) or length < 1:
        raise ModelInvalid(f"The expansion of queries is {config!r}; it needs a length.")
    attended = bool(config.get("attend"))
    named = special_tokens(folder.network)
    token = config.get("token") or named.get("mask_token") or named.get("eos_token")
    if token is None:
        raise ModelInvalid("Queries are expanded by the mask token, and the tokenizer's files name none.")
    if not attended and folder.architecture.family == "deberta_v2":
        raise ArchitectureUnknown("Expansion tokens that are not attended to are not known here for DeBERTa.")
    return Expansion(token=token, length=length, attended=attended, fixed=config.get("strategy", "fixed") == "fixed")


def _length(config: Mapping[str, Any], key: str) -> int | None:
    return positive(config, key) if config.get(key) is not None else None


def _mean(settings: Mapping[str, Any]) -> bool:
    return settings.get("similarity_fn_name") == "meanmaxsim"
