"""Every case, one file per family."""

from benchmarks.families.case import Case
from benchmarks.families.cases import (
    bert,
    deberta_v2,
    distilbert,
    electra,
    gemma,
    gemma3,
    gliclass,
    gliner,
    gte,
    jina_bert,
    jina_v3,
    llama,
    mistral,
    modernbert,
    mpnet,
    nomic_bert,
    qwen2,
    qwen3,
    roberta,
)

CASES: tuple[Case, ...] = (
    *bert.CASES,
    *roberta.CASES,
    *jina_v3.CASES,
    *distilbert.CASES,
    *electra.CASES,
    *mpnet.CASES,
    *nomic_bert.CASES,
    *gte.CASES,
    *jina_bert.CASES,
    *modernbert.CASES,
    *deberta_v2.CASES,
    *gemma.CASES,
    *gemma3.CASES,
    *qwen2.CASES,
    *qwen3.CASES,
    *mistral.CASES,
    *llama.CASES,
)
HEAD_CASES: tuple[Case, ...] = (*gliner.CASES, *gliclass.CASES)
"""Whose models read labels beside a text: what their heads say is compared."""
