"""Every case, one file per family."""

from benchmarks.families.case import Case
from benchmarks.families.cases import bert, deberta_v2, gemma3, llama, mistral, modernbert, qwen2, qwen3

CASES: tuple[Case, ...] = (
    *bert.CASES,
    *modernbert.CASES,
    *deberta_v2.CASES,
    *gemma3.CASES,
    *qwen2.CASES,
    *qwen3.CASES,
    *mistral.CASES,
    *llama.CASES,
)
