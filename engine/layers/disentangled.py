"""Disentangled attention (He et al. 2021) over packed sequences: by contents, and by contents and distances.

Nothing is gathered. The products with every distance are made first, (L, 2 L - 1); row i of the sum needs 2 L - 1
neighbours of them, shifted by one from row to row: a view with another stride.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.layers.tokens import Run, Sequences

PRODUCTS = {"cpu": 2**18, "cuda": 2**24}
"""L x L products of heads and sequences that are made together: what stays in a core's cache, what fills a device."""


@dataclass(frozen=True, slots=True)
class Distances:
    """The distances -M to M as keys and as queries of every head, M the longest sequence's."""

    keys: Tensor | None
    """(H, 2 M + 1, D), from distance M down to -M; None: contents do not ask for positions."""
    queries: Tensor | None
    """(H, 2 M + 1, D), from distance -M up to M, scaled; None: positions do not ask for contents."""


def buckets(longest: int, span: int, logarithmic: tuple[int, int] | None) -> Tensor:
    """The row of the table of 2 `span` embeddings for each distance from -(longest - 1) to longest - 1, ascending.

    `logarithmic` is (buckets, greatest distance): near distances have rows of their own, far ones share theirs.
    """
    distances = torch.arange(1 - longest, longest)
    if logarithmic is not None:
        size, most = logarithmic
        middle = size // 2
        far = torch.clamp(distances.abs(), min=middle) / middle
        # Step by step as the reference has it: where a logarithm is all but whole, ceil shows the last bit.
        far = torch.ceil(torch.log(far) / torch.log(torch.tensor((most - 1) / middle)) * (middle - 1)) + middle
        distances = torch.where(distances.abs() <= middle, distances, (far * distances.sign()).long())
    return (distances + span).clamp(0, 2 * span - 1)


def attend_disentangled(
    q: Tensor, k: Tensor, v: Tensor, sequences: Sequences, scale: float, distances: Distances
) -> Tensor:
    """softmax(scale * (q k^T + q keys^T) + k queries^T) v within each sequence: (T, H, D) each."""
    q = q * scale
    out = torch.empty_like(q, memory_format=torch.contiguous_format)  # (T, H, D)
    for run in sequences.runs:
        heads = [x[run.rows].transpose(0, 1).contiguous() for x in (q, k, v)]  # 3 x (H, N * L, D)
        # The tables are for the longest sequence: a shorter one's distances lie in their middle.
        cut = sequences.max_seqlen - run.length
        tables = [
            None if table is None else table[:, cut : table.shape[1] - cut]
            for table in (distances.keys, distances.queries)
        ]
        for block, rows in _blocks(q.shape[1], run, PRODUCTS[q.device.type]):
            queries, keys, values = (x[block, rows] for x in heads)
            by_key, by_query = (None if table is None else table[block] for table in tables)
            weights = _products(queries, keys, by_key, by_query, run.length).softmax(-1)
            attended = torch.bmm(weights, values.view(-1, run.length, values.shape[-1]))
            out[run.rows][rows, block].copy_(attended.view_as(values).transpose(0, 1))
    return out


def _products(q: Tensor, k: Tensor, by_key: Tensor | None, by_query: Tensor | None, length: int) -> Tensor:
    """(h * N, L, L), from (h, N * L, D)."""
    products = torch.bmm(
        q.view(-1, length, q.shape[-1]), k.view(-1, length, k.shape[-1]).transpose(1, 2)
    )  # (h * N, L, L)
    if by_key is not None:
        products.add_(_by_distance(torch.bmm(q, by_key.transpose(1, 2)), length))
    if by_query is not None:
        products.add_(_by_distance(torch.bmm(k, by_query.transpose(1, 2)), length).transpose(1, 2))
    return products


def _by_distance(products: Tensor, length: int) -> Tensor:
    """Number (i, j) is that of row i and column L - 1 - i + j: (h, N * L, 2 L - 1) -> (h * N, L, L), a view."""
    width = 2 * length - 1
    pairs = products.numel() // (length * width)
    return products.as_strided((pairs, length, length), (length * width, width - 1, 1), length - 1)


def _blocks(heads: int, run: Run, most: int) -> Iterator[tuple[slice, slice]]:
    """Heads and rows of a run that go together: some heads of all its sequences, or one head of some."""
    pairs = max(1, most // run.length**2)
    at_once = max(1, pairs // run.count)
    sequences = min(run.count, pairs)
    for head in range(0, heads, at_once):
        for first in range(0, run.count, sequences):
            yield slice(head, head + at_once), slice(first * run.length, (first + sequences) * run.length)
