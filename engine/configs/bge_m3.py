"""BGE-M3 (Chen et al. 2024): dense, sparse and multi-vector outputs of one pass; no torch.

Its folder is that of a dense model, with two more projections in its root, which no module names.
"""

from engine.configs.dense import pooled
from engine.configs.head_spec import Heads, HeadSpec
from engine.configs.token_reading import TokenReading
from engine.configs.vector_steps import VectorStep
from engine.errors import ModelInvalid
from engine.files.checkpoint import TensorEntry, read_part
from engine.files.folder import ModelFolder, positive
from engine.files.special_tokens import special_tokens

SPARSE, MULTI = "sparse_linear", "colbert_linear"
UNUSED = ("cls_token", "eos_token", "pad_token", "unk_token")
"""Tokens that have no weight."""


def m3(folder: ModelFolder) -> Heads | None:
    """All three; None without the projections."""
    parts = {name: read_part(folder.path, name) for name in (SPARSE, MULTI)}
    if not any(parts.values()):
        return None
    if not all(parts.values()):
        raise ModelInvalid(f"A model of this kind has both {SPARSE} and {MULTI}; one of them is missing.")
    dense = pooled(folder)
    if dense is None:
        raise ModelInvalid("A model of this kind has a pooled vector beside its other outputs.")
    named = special_tokens(folder.network)
    unused = tuple(dict.fromkeys(named[part] for part in UNUSED if part in named))
    if not unused:
        raise ModelInvalid("The tokenizer's files name no special tokens, which have no weight in a sparse vector.")
    width = positive(folder.config, "hidden_size")
    tensors: dict[str, TensorEntry] = {
        f"{name}/linear.{tensor}": entry for name, entries in parts.items() for tensor, entry in (entries or {}).items()
    }
    projection = VectorStep(kind="dense", path=f"{MULTI}/", width=width, out=_rows(tensors, MULTI), bias=True)
    weights = HeadSpec("sparse", "token_weights", {"path": f"{SPARSE}/", "unused": unused})
    multi = {"steps": (projection, VectorStep(kind="normalize")), "reading": TokenReading(skips_first=True)}
    return Heads(
        specs=(*dense.specs, weights, HeadSpec("multi", "token_vectors", multi)),
        dimensions=dense.dimensions,
        normalize=dense.normalize,
        tensors={**dense.tensors, **tensors},
    )


def _rows(tensors: dict[str, TensorEntry], part: str) -> int:
    weight = tensors.get(f"{part}/linear.weight")
    if weight is None or not weight.shape:
        raise ModelInvalid(f"{part} has no weight.")
    return weight.shape[0]
