"""Ragged: a batch without padding, its sequences laid end to end, with their lengths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from zhixing.errors import DataError


@dataclass(frozen=True)
class Ragged:
    """Hold N positions of B sequences, the first sequence's first.

    Attributes:
        values: One row a position.
        lengths: How many positions each sequence has; they sum to N. Plain numbers, so that
            nothing has to wait for a device to learn them.
    """

    values: Shaped[Tensor, "N ..."]
    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        if sum(self.lengths) != len(self.values):
            raise DataError(
                f"lengths sum to {sum(self.lengths)}, but there are {len(self.values)} positions; "
                f"every position belongs to exactly one sequence"
            )

    @classmethod
    def of(cls, sequences: Iterable[Shaped[Tensor, "_ ..."]]) -> "Ragged":
        """Lay sequences end to end.

        Example:
            >>> Ragged.of([torch.tensor([7, 8]), torch.tensor([9])]).lengths
            (2, 1)
        """
        parts = list(sequences)
        return cls(torch.cat(parts), tuple(len(part) for part in parts))

    def split(self) -> tuple[Shaped[Tensor, "_ ..."], ...]:
        """Give each sequence by itself, as views."""
        return self.values.split(list(self.lengths))

    def select(self, sequences: Sequence[int]) -> "Ragged":
        """Take some of the sequences, in the order asked for."""
        parts = self.split()
        return Ragged.of(parts[i] for i in sequences)

    def with_values(self, values: Shaped[Tensor, "N ..."]) -> "Ragged":
        """Give other values at the same positions."""
        return Ragged(values, self.lengths)

    def to(self, device: torch.device | str) -> "Ragged":
        """Bring the values to a device; lengths stay plain numbers."""
        return Ragged(self.values.to(device), self.lengths)


@lru_cache(maxsize=512)
def starts(lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Tell at which of the N positions each sequence begins.

    Example:
        >>> starts((2, 1, 4))
        (0, 2, 3)
    """
    return tuple(accumulate(lengths, initial=0))[:-1]


def position_numbers(lengths: tuple[int, ...], device: torch.device) -> Int[Tensor, " N"]:
    """Number every position within its own sequence, from 0.

    Example:
        >>> position_numbers((2, 3), torch.device("cpu"))
        tensor([0, 1, 0, 1, 2])
    """
    return _position_numbers(lengths).to(device)


@lru_cache(maxsize=64)
# A prediction may be the first to ask, and what is kept has to serve training too.
@torch.inference_mode(mode=False)
def _position_numbers(lengths: tuple[int, ...]) -> Int[Tensor, " N"]:
    counts = torch.tensor(lengths, dtype=torch.int64)
    first = torch.tensor(starts(lengths), dtype=torch.int64)
    return torch.arange(int(counts.sum())) - first.repeat_interleave(counts)


def first_positions(
    x: Shaped[Tensor, "N ..."], lengths: tuple[int, ...]
) -> Shaped[Tensor, "B ..."]:
    """Take the first position of every sequence."""
    return x[torch.tensor(starts(lengths), device=x.device)]


def last_positions(x: Shaped[Tensor, "N ..."], lengths: tuple[int, ...]) -> Shaped[Tensor, "B ..."]:
    """Take the last position of every sequence."""
    ends = torch.tensor(lengths).cumsum(0)
    return x[(ends - 1).to(x.device)]


def sequence_means(x: Shaped[Tensor, "N D"], lengths: tuple[int, ...]) -> Shaped[Tensor, "B D"]:
    """Average the positions of every sequence."""
    counts = torch.tensor(lengths, device=x.device)
    owner = torch.arange(len(lengths), device=x.device).repeat_interleave(counts)
    sums = x.new_zeros(len(lengths), x.size(-1)).index_add(0, owner, x)
    return sums / counts.to(x.dtype).unsqueeze(-1)
