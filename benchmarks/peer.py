"""sentence-transformers in this process, on the texts that the server gets: what most people run today."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from sentence_transformers import SentenceTransformer

BATCH = 32


class Peer:
    """A loaded model. Each method says tokens per second, counted as the server counts them: without padding."""

    def __init__(self, folder: Path, texts: Sequence[str], token_counts: Sequence[int]) -> None:
        self._model = SentenceTransformer(str(folder), device="cpu")
        self._texts = list(texts)
        self._token_counts = token_counts
        self._encode(self._texts[:BATCH])

    def sorted_at_once(self) -> float:
        """All texts in one call: it sorts them by length before it batches, which no server can do to its callers."""
        began = time.perf_counter()
        self._encode(self._texts)
        return sum(self._token_counts) / (time.perf_counter() - began)

    def as_they_arrive(self, batch: int, seconds: float) -> float:
        """Calls of `batch` texts in the order of arrival, each on its own, for about `seconds`."""
        tokens, began, passed = 0, time.perf_counter(), 0.0
        for start in itertools.cycle(range(0, len(self._texts) - batch + 1, batch)):
            self._encode(self._texts[start : start + batch])
            tokens += sum(self._token_counts[start : start + batch])
            passed = time.perf_counter() - began
            if passed >= seconds:
                break
        return tokens / passed

    def _encode(self, texts: list[str]) -> None:
        self._model.encode(texts, batch_size=BATCH, show_progress_bar=False)
