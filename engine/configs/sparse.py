"""Which models weigh the words of the vocabulary, and how: SPLADE, and those whose queries need no network; no torch.

What the vocabulary is computed by differs by family in names only: `decoder(norm(activation(dense(x)))) + bias`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.configs.head_spec import Heads, HeadSpec
from engine.errors import ArchitectureUnknown, ModelInvalid
from engine.files.checkpoint import TensorEntry, read_checkpoint
from engine.files.folder import NETWORKS, ModelFolder, Module, inside, positive, read_object

POOLING = "SpladePooling"
STATIC = "SparseStaticEmbedding"
ACTIVATIONS: Mapping[str, int] = {"relu": 1, "log1p_relu": 2}
"""How often log(1 + x) is applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyLayout:
    """How a family's checkpoints name what is on their body."""

    dense: str
    norm: str
    decoder: str
    bias: str
    """What the decoder adds; where its own is stored as well, both are one if it shares the words' table."""
    activation: str | None = None
    """The key of `config.json`; None: always gelu."""
    dense_bias: str | None = None
    norm_bias: str | None = None
    decoder_bias: str | None = None
    """Keys of `config.json` that say whether there is a bias; None: there is."""


LM_HEAD = VocabularyLayout(dense="lm_head.dense", norm="lm_head.norm", decoder="lm_head.decoder", bias="lm_head.bias")
LAYOUTS: Mapping[str, VocabularyLayout] = {
    "bert": VocabularyLayout(
        dense="cls.predictions.transform.dense",
        norm="cls.predictions.transform.LayerNorm",
        decoder="cls.predictions.decoder",
        bias="cls.predictions.bias",
        activation="hidden_act",
    ),
    "roberta": LM_HEAD,
    "mpnet": LM_HEAD,
    "distilbert": VocabularyLayout(
        dense="vocab_transform",
        norm="vocab_layer_norm",
        decoder="vocab_projector",
        bias="vocab_projector.bias",
        activation="hidden_act",
    ),
    "modernbert": VocabularyLayout(
        dense="head.dense",
        norm="head.norm",
        decoder="decoder",
        bias="decoder.bias",
        activation="classifier_activation",
        dense_bias="classifier_bias",
        norm_bias="norm_bias",
        decoder_bias="decoder_bias",
    ),
    "gte": VocabularyLayout(
        dense="lm_head.dense",
        norm="lm_head.norm",
        decoder="lm_head.decoder",
        bias="lm_head.decoder.bias",
        activation="hidden_act",
    ),
}


def splade(folder: ModelFolder) -> Heads | None:
    """Weights for the words of the vocabulary."""
    if POOLING not in folder.kinds:
        return None
    if len(folder.modules) != 2 or folder.kinds[0] not in NETWORKS or folder.kinds[1] != POOLING:
        raise ArchitectureUnknown(f"The model's modules are {', '.join(folder.kinds)}; known are a network, {POOLING}.")
    family = folder.architecture.family
    if folder.architecture.top != "masked_lm" or family not in LAYOUTS:
        raise ArchitectureUnknown(
            f"{POOLING} is known here on the masked-language models {', '.join(LAYOUTS)}; this is {family}, "
            f"{folder.architecture.top}."
        )
    config = read_object(inside(folder.path, folder.modules[1].path), "config.json")
    pooling, activation = config.get("pooling_strategy", "max"), config.get("activation_function", "relu")
    if pooling not in ("max", "sum") or activation not in ACTIVATIONS:
        raise ArchitectureUnknown(f"A sparse pooling by {pooling} of {activation} is not known here.")
    static = _static_queries(folder)
    tied = folder.config.get("tie_word_embeddings", True) is not False
    settings = {
        "family": family,
        "layout": LAYOUTS[family],
        "pooling": pooling,
        "logarithms": ACTIVATIONS[activation],
        "tied": tied,
        "bias": _bias(folder, LAYOUTS[family], tied=tied),
        "idf": (f"{static[0].path}/", static[1].shape[0]) if static else None,
    }
    return Heads(
        specs=(HeadSpec("sparse", "vocabulary", settings),),
        dimensions=positive(folder.config, "vocab_size"),
        tensors={f"{static[0].path}/weight": static[1]} if static else {},
    )


def _static_queries(folder: ModelFolder) -> tuple[Module, TensorEntry] | None:
    """The module that weighs the words of a query by a table, and the table; None: queries are read as documents."""
    if folder.queries == folder.modules:
        return None
    if [module.kind for module in folder.queries] != [STATIC]:
        raise ArchitectureUnknown(f"The model's queries go through other modules than its documents, and not {STATIC}.")
    module = folder.queries[0]
    path = inside(folder.path, module.path)
    if not _same(path / "tokenizer.json", folder.network / "tokenizer.json"):
        raise ArchitectureUnknown("The model's queries have another tokenizer than its documents.")
    tensors = read_checkpoint(path)
    if tensors.keys() != {"weight"} or len(tensors["weight"].shape) != 1:
        raise ModelInvalid(f"{module.path} does not hold one table of weights, but {', '.join(tensors)}.")
    return module, tensors["weight"]


def _bias(folder: ModelFolder, layout: VocabularyLayout, *, tied: bool) -> str:
    """The name of the decoder's bias. A checkpoint may have two, of which one counts."""
    own = f"{layout.decoder}.bias"
    return own if own in folder.tensors and (not tied or layout.bias not in folder.tensors) else layout.bias


def _same(one: Path, other: Path) -> bool:
    return not one.is_file() or one.read_bytes() == other.read_bytes()
