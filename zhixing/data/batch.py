"""Example and Batch: ragged ids and labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy
import torch
from jaxtyping import Bool, Float, Int, Int32, Shaped
from numpy import ndarray
from torch import Tensor

from zhixing.errors import DataError
from zhixing.layers.ragged import Ragged


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


@dataclass(frozen=True)
class Example:
    """One row, ready to be learned or predicted.

    Attributes:
        windows: One, or several where the text is longer than the model.
        labels: Class ids; one for single-label, any number for multi-label, None when predicting.
        row: Its number in the source, counted as a person would.
        tokens_given: Tokens of the text itself, without special ones.
        tokens_read: How many of them stand in some window.
        weight: How much it counts in training.
    """

    windows: tuple[Window, ...]
    labels: tuple[int, ...] | None
    row: int
    tokens_given: int
    tokens_read: int
    weight: float = 1.0

    @property
    def num_tokens(self) -> int:
        """Count what the model has to read, special tokens and overlaps included."""
        return sum(len(window) for window in self.windows)


def filled_up(examples: Sequence[Example], multiple: int) -> list[Example]:
    """Add an example that does not count, so that the tokens are a multiple of some number.

    Fewer tokens than `multiple` stay as they are. The added one repeats the longest window, as far
    as is needed, so that nothing is in it that the model could not read.
    """
    tokens = sum(example.num_tokens for example in examples)
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
        labels: Class ids, or a row of zeros and ones for multi-label.
        rows: Row numbers of the examples.
        weights: How much each example counts in training; None where all count alike.
    """

    input_ids: Ragged
    token_type_ids: Int[Tensor, " N"] | None
    owners: Int[Tensor, " W"]
    labels: Int[Tensor, " B"] | Float[Tensor, "B C"] | None
    rows: tuple[int, ...]
    weights: Float[Tensor, " B"] | None = None

    @property
    def num_tokens(self) -> int:
        """Count the positions of the batch."""
        return len(self.input_ids.values)

    def to(self, device: torch.device) -> "Batch":
        """Bring all tensors to a device."""
        types, labels, weights = (
            None if x is None else x.to(device)
            for x in (self.token_type_ids, self.labels, self.weights)
        )
        owners = self.owners.to(device)
        return Batch(self.input_ids.to(device), types, owners, labels, self.rows, weights)


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
    if example.labels is None:
        raise DataError(f"row {example.row} has no label; give a labelled table")
    return example.labels


def lay_out(
    examples: Sequence[Example], labels: Int[Tensor, " B"] | Float[Tensor, "B C"] | None
) -> Batch:
    """Lay examples end to end; windows of equal length come to lie side by side."""
    windows = [(w, owner) for owner, e in enumerate(examples) for w in e.windows]
    windows.sort(key=lambda pair: -len(pair[0]))
    ids = _joined([w.input_ids for w, _ in windows])
    types: Tensor | None = None
    if any(w.token_type_ids is not None for w, _ in windows):
        types = _joined(
            [
                numpy.zeros(len(w), numpy.int32) if w.token_type_ids is None else w.token_type_ids
                for w, _ in windows
            ]
        )
    counts = [e.weight for e in examples]
    return Batch(
        Ragged(ids, tuple(len(w) for w, _ in windows)),
        types,
        torch.tensor([owner for _, owner in windows]),
        labels,
        tuple(e.row for e in examples),
        None if all(count == 1.0 for count in counts) else torch.tensor(counts),
    )


def _joined(parts: Sequence[Int32[ndarray, " _"]]) -> Shaped[Tensor, " N"]:
    return torch.from_numpy(numpy.concatenate(parts).astype(numpy.int64))
