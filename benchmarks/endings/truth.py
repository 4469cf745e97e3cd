"""What the answers must be: sentence-transformers with the same weights, asked beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from benchmarks.served import starter_folder
from shoal.load.corpus import texts as corpus

TEXTS = 128


@dataclass(frozen=True, slots=True)
class Truth:
    """Texts, and what is true of each."""

    texts: list[str]
    vectors: dict[str, np.ndarray]
    lengths: dict[str, int]

    def tokens(self, asked: Sequence[str]) -> int:
        """What they cost."""
        return sum(self.lengths[text] for text in asked)

    def holds(self, asked: Sequence[str], answered: Sequence[Sequence[float]], tolerance: float) -> bool:
        """Whether each vector is that of its text."""
        return len(asked) == len(answered) and all(
            float(np.abs(np.asarray(vector) - self.vectors[text]).max()) <= tolerance
            for text, vector in zip(asked, answered, strict=True)
        )


def truth() -> Truth:
    """Computed here and now, on one thread."""
    torch.set_num_threads(1)
    model = SentenceTransformer(str(starter_folder()), device="cpu")
    texts = [text[:200] for text in corpus(TEXTS)]
    vectors = model.encode(texts, normalize_embeddings=True)
    lengths = {text: len(model.tokenizer(text)["input_ids"]) for text in texts}
    return Truth(texts, dict(zip(texts, vectors, strict=True)), lengths)
