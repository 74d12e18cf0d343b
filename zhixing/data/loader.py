"""The data loader: shuffling, and batches by size or token budget with length bucketing."""

from collections.abc import Iterator, Sequence

import torch

from zhixing.layers.dropout import Noise

POOL_BATCHES = 64


def shuffled(count: int, *, seed: int, epoch: int) -> list[int]:
    """Shuffle the rows of an epoch; the order follows from the run's seed and the epoch alone."""
    return _order(count, Noise(("order of rows", seed, epoch)))


def _order(count: int, noise: Noise) -> list[int]:
    generator = torch.Generator().manual_seed(noise.seed())
    return torch.randperm(count, generator=generator).tolist()


def epoch_batches(
    sizes: Sequence[int], *, rows: int = 0, tokens: int = 0, seed: int, epoch: int
) -> list[list[int]]:
    """Give the shuffled batches of one epoch; the same arguments give the same batches.

    With a token budget, rows of like length are put together within pools of 64 batches, which
    saves attention work (length bucketing); the batches are shuffled again.

    Args:
        sizes: Tokens of each row.
        rows: Rows a batch; 0 for a budget of tokens.
        tokens: Tokens a batch, where there is no number of rows. A row longer than the budget is a
            batch of its own.
        seed: Of the run.
        epoch: From 0.

    Returns:
        Row indices of each batch; every row stands in exactly one.
    """
    order = shuffled(len(sizes), seed=seed, epoch=epoch)
    if rows:
        return [order[i : i + rows] for i in range(0, len(order), rows)]
    mean = max(sum(sizes) / max(len(sizes), 1), 1.0)
    pool = max(int(POOL_BATCHES * tokens / mean), 1)
    batches: list[list[int]] = []
    for i in range(0, len(order), pool):
        by_length = sorted(order[i : i + pool], key=lambda row: sizes[row])
        batches.extend(fill(by_length, sizes, tokens))
    turn = _order(len(batches), Noise(("order of batches", seed, epoch)))
    return [batches[i] for i in turn]


def fill(order: Sequence[int], sizes: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Fill batches in order to a token budget, each with at least one row."""
    batch: list[int] = []
    total = 0
    for row in order:
        if batch and total + sizes[row] > budget:
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += sizes[row]
    if batch:
        yield batch


def by_length(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Bucket rows by length into batches for prediction, the longest first."""
    order = sorted(range(len(sizes)), key=lambda row: -sizes[row])
    return list(fill(order, sizes, budget))
