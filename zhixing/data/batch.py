"""Example and Batch: ragged input ids without padding, each row with one target."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy
import torch
from jaxtyping import Bool, Float, Int, Int32, Shaped
from numpy import ndarray
from torch import Tensor

from zhixing.errors import DataError
from zhixing.layers.ragged import Ragged

Result = TypeVar("Result")


@dataclass(frozen=True)
class Window:
    """One sequence as the model reads it, special tokens included."""

    input_ids: Int32[ndarray, " T"]
    token_type_ids: Int32[ndarray, " T"] | None

    def __len__(self) -> int:
        return len(self.input_ids)

    def cut(self, count: int) -> "Window":
        """Give the first `count` positions."""
        types = self.token_type_ids
        return Window(self.input_ids[:count], None if types is None else types[:count])


# What a row is learned from, as its task encodes it: class ids, a number, or token ids to write.
Target = tuple[int, ...] | float | Int32[ndarray, " U"]


@dataclass(frozen=True)
class Example:
    """One row, ready to be learned or predicted.

    Attributes:
        windows: One, or several where the text is longer than the model.
        target: What the task learns from it; None when predicting.
        row: Its number in the source, counted as a person would.
        tokens_given: Tokens of the text itself, without special ones.
        tokens_read: How many of them stand in some window.
        weight: How much it counts in training.
    """

    windows: tuple[Window, ...]
    target: Target | None
    row: int
    tokens_given: int
    tokens_read: int
    weight: float = 1.0

    @property
    def num_tokens(self) -> int:
        """Count what the model has to read and write, special tokens and overlaps included."""
        return self.tokens_in + (len(self.target) if isinstance(self.target, ndarray) else 0)

    @property
    def tokens_in(self) -> int:
        """Count what the model has to read, special tokens and overlaps included."""
        return sum(len(window) for window in self.windows)


def filled_up(examples: Sequence[Example], multiple: int) -> list[Example]:
    """Add an example that does not count, so that the tokens are a multiple of some number.

    Fewer tokens than `multiple` stay as they are. The added one repeats the longest window, as far
    as is needed, so that nothing is in it that the model could not read.
    """
    tokens = sum(example.tokens_in for example in examples)
    missing = -tokens % multiple
    if tokens < multiple or not missing:
        return list(examples)
    longest = max((window for example in examples for window in example.windows), key=len)
    rest = longest.cut(missing % len(longest))
    windows = (longest,) * (missing // len(longest)) + ((rest,) if len(rest) else ())
    return [*examples, replace(examples[0], windows=windows, weight=0.0)]


@dataclass(frozen=True)
class Batch:
    """Several examples laid end to end, the longest window first.

    Attributes:
        input_ids: Windows of all examples.
        token_type_ids: Of every position; None where all are 0.
        owners: For each window, which of the batch's examples it belongs to.
        rows: Row numbers of the examples.
        weights: How much each example counts in training; None where all count alike.
        target: What the task learns from, in the form that its loss takes; None when predicting.
    """

    input_ids: Ragged
    token_type_ids: Int[Tensor, " N"] | None
    owners: Int[Tensor, " W"]
    rows: tuple[int, ...]
    weights: Float[Tensor, " B"] | None = None
    target: Tensor | Ragged | None = None

    @property
    def num_tokens(self) -> int:
        """Count the positions of the batch."""
        targets = len(self.target.values) if isinstance(self.target, Ragged) else 0
        return len(self.input_ids.values) + targets

    def by_example(self, results: Sequence[Result]) -> list[Result]:
        """Bring the results of each window into the order of the examples, one window each."""
        positions = {owner: position for position, owner in enumerate(self.owners.tolist())}
        return [results[positions[number]] for number in range(len(results))]

    def to(self, device: torch.device) -> "Batch":
        """Bring all tensors to a device."""
        types, weights = (
            None if x is None else x.to(device) for x in (self.token_type_ids, self.weights)
        )
        target = None if self.target is None else self.target.to(device)
        inputs, owners = self.input_ids.to(device), self.owners.to(device)
        return Batch(inputs, types, owners, self.rows, weights, target)


def label_ids(examples: Sequence[Example]) -> Int[Tensor, " B"]:
    """Give the one label of each example.

    Raises:
        DataError: If an example has none.
    """
    return torch.tensor([_labels(example)[0] for example in examples], dtype=torch.int64)


def label_matrix(examples: Sequence[Example], num_classes: int) -> Bool[Tensor, "B C"]:
    """Mark the labels of each example, any number of them.

    Raises:
        DataError: If an example is not labelled at all.
    """
    matrix = torch.zeros(len(examples), num_classes, dtype=torch.bool)
    for row, example in enumerate(examples):
        matrix[row, list(_labels(example))] = True
    return matrix


def _labels(example: Example) -> tuple[int, ...]:
    if not isinstance(example.target, tuple):
        raise DataError(f"row {example.row} has no label; give a labelled table")
    return example.target


def lay_out(
    examples: Sequence[Example],
    target: Tensor | None = None,
    *,
    then_by: Callable[[Example], int] = lambda _: 0,
) -> Batch:
    """Lay examples end to end; windows of equal length come to lie side by side.

    Args:
        examples: At least one.
        target: Of all examples, in their order.
        then_by: Sorts windows of equal length.
    """
    windows = [(window, owner) for owner, e in enumerate(examples) for window in e.windows]
    windows.sort(key=lambda pair: (-len(pair[0]), then_by(examples[pair[1]])))
    ids = joined_ids([window.input_ids for window, _ in windows])
    types: Tensor | None = None
    if any(window.token_type_ids is not None for window, _ in windows):
        types = joined_ids(
            [
                numpy.zeros(len(w), numpy.int32) if w.token_type_ids is None else w.token_type_ids
                for w, _ in windows
            ]
        )
    weights = [example.weight for example in examples]
    return Batch(
        Ragged(ids, tuple(len(window) for window, _ in windows)),
        types,
        torch.tensor([owner for _, owner in windows]),
        tuple(example.row for example in examples),
        None if all(weight == 1.0 for weight in weights) else torch.tensor(weights),
        target,
    )


def joined_ids(parts: Sequence[Int32[ndarray, " _"]]) -> Shaped[Tensor, " N"]:
    """Lay token ids end to end."""
    return torch.from_numpy(numpy.concatenate(parts).astype(numpy.int64))


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
