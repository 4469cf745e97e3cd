"""Jina v3 without its adapters: transformers' own layout and the hub's, rotary and, as Jina's reranker, learned."""

from pathlib import Path

import torch
from transformers import JinaEmbeddingsV3Config, XLMRobertaConfig

from benchmarks.families.folder import edit, rename
from benchmarks.families.from_transformers import transformers_cases

Tensors = dict[str, torch.Tensor]


def as_on_the_hub(folder: Path) -> None:
    """Rotary XLM-R, by Jina's own code."""
    edit(
        folder,
        architectures=["XLMRobertaModel"],
        model_type="xlm-roberta",
        rope_parameters=None,
        position_embedding_type="rotary",
        rotary_emb_base=20_000.0,
    )


def with_adapters(folder: Path) -> None:
    """As jina-embeddings-v3: every Linear's and Embedding's weight has a low-rank product for each task beside it."""
    as_on_the_hub(folder)
    edit(folder, lora_adaptations=["retrieval.query", "separation"], lora_rank=4, lora_alpha=1)

    def change(tensors: Tensors) -> Tensors:
        named: Tensors = {}
        for name, tensor in tensors.items():
            if tensor.ndim == 1:
                named[f"roberta.{name}"] = tensor
                continue
            stem = f"roberta.{name.removesuffix('weight')}parametrizations.weight"
            rows, columns = tensor.shape
            named[f"{stem}.original"] = tensor
            named[f"{stem}.0.lora_A"] = torch.ones(2, 4, columns)
            named[f"{stem}.0.lora_B"] = torch.ones(2, rows, 4)
        return named

    rename(folder, change)


def learned(folder: Path) -> None:
    """As jina-reranker-v2: Jina's names and fused projections over learned positions."""
    edit(folder, position_embedding_type="absolute", use_flash_attn=False)

    def change(tensors: Tensors) -> Tensors:
        for name in list(tensors):
            if name.endswith(("self.query.weight", "self.query.bias")):
                parts = [tensors.pop(name.replace("query", part)) for part in ("query", "key", "value")]
                tensors[name.replace("attention.self.query", "mixer.Wqkv")] = torch.cat(parts)
        names = {
            "embeddings.LayerNorm": "emb_ln",
            "encoder.layer.": "encoder.layers.",
            "attention.output.dense": "mixer.out_proj",
            "attention.output.LayerNorm": "norm1",
            "intermediate.dense": "mlp.fc1",
            "output.dense": "mlp.fc2",
            "output.LayerNorm": "norm2",
        }
        for old, new in names.items():
            tensors = {name.replace(old, new): tensor for name, tensor in tensors.items()}
        return {f"roberta.{name}": tensor for name, tensor in tensors.items()}

    rename(folder, change)


BASE_1000 = {"rope_theta": 1000.0, "rope_type": "default"}

CASES = (
    *transformers_cases(
        "jina_v3",
        JinaEmbeddingsV3Config,
        {
            "plain": {},
            "two types, tanh GELU, three heads of 16": {
                "type_vocab_size": 2,
                "hidden_act": "gelu_new",
                "hidden_size": 48,
                "num_attention_heads": 3,
            },
            "base 1000, 500 tokens": {"rope_parameters": BASE_1000, "max_position_embeddings": 600},
        },
        lengths={"base 1000, 500 tokens": (500, 3, 200, 1)},
    ),
    *transformers_cases("roberta", JinaEmbeddingsV3Config, {"Jina v3": {}}, wide=None, finish=as_on_the_hub),
    *transformers_cases(
        "roberta", JinaEmbeddingsV3Config, {"Jina v3 with adapters": {}}, wide=None, finish=with_adapters
    ),
    *transformers_cases(
        "roberta",
        XLMRobertaConfig,
        {"Jina's layout, learned positions": {"type_vocab_size": 1, "max_position_embeddings": 42}},
        wide=None,
        finish=learned,
    ),
)
