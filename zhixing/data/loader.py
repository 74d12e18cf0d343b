"""The data loader: shuffling, and batches by size or token budget with length bucketing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from zhixing.errors import ConfigError
from zhixing.layers.dropout import Noise

POOL_BATCHES = 64


@dataclass(frozen=True)
class Batching:
    """Batch size: either a number of rows or a token budget, with length bucketing.

    Attributes:
        rows: Rows a batch; 0 for a budget of tokens.
        tokens: Tokens a batch; 0 for a number of rows. A row longer than the budget is a batch of
            its own.
        group_by_length: With a budget, rows of like length are put together within pools of
            64 batches, which saves attention work; the batches are shuffled again.
    """

    rows: int = 0
    tokens: int = 0
    group_by_length: bool = True

    def __post_init__(self) -> None:
        if (self.rows > 0) == (self.tokens > 0):
            raise ConfigError(
                f"batch_size is {self.rows} and batch_tokens is {self.tokens}; "
                f"set exactly one of them above 0"
            )


def shuffled(count: int, *, seed: int, epoch: int) -> list[int]:
    """Shuffle the rows of an epoch; the order follows from the run's seed and the epoch alone."""
    return _order(count, Noise(("order of rows", seed, epoch)))


def _order(count: int, noise: Noise) -> list[int]:
    generator = torch.Generator().manual_seed(noise.seed())
    return torch.randperm(count, generator=generator).tolist()


def epoch_batches(
    sizes: Sequence[int], batching: Batching, *, seed: int, epoch: int
) -> list[list[int]]:
    """Give the shuffled batches of one epoch; the same arguments give the same batches.

    Args:
        sizes: Tokens of each row.
        batching: How batches are filled.
        seed: Of the run.
        epoch: From 0.

    Returns:
        Row indices of each batch; every row stands in exactly one.
    """
    order = shuffled(len(sizes), seed=seed, epoch=epoch)
    if batching.rows:
        return [order[i : i + batching.rows] for i in range(0, len(order), batching.rows)]
    if not batching.group_by_length:
        return list(fill(order, sizes, batching.tokens))
    mean = max(sum(sizes) / max(len(sizes), 1), 1.0)
    pool = max(int(POOL_BATCHES * batching.tokens / mean), 1)
    batches: list[list[int]] = []
    for i in range(0, len(order), pool):
        by_length = sorted(order[i : i + pool], key=lambda row: sizes[row])
        batches.extend(fill(by_length, sizes, batching.tokens))
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
