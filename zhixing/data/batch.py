"""Example and Batch: ragged ids and labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy
import torch
from jaxtyping import Bool, Float, Int, Int32, Shaped
from numpy import ndarray
from torch import Tensor

from zhixing.errors import DataError
from zhixing.layers.ragged import Ragged

Found = TypeVar("Found")


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
        output_ids: What is to be written, with its end; None where nothing is.
    """

    windows: tuple[Window, ...]
    labels: tuple[int, ...] | None
    row: int
    tokens_given: int
    tokens_read: int
    weight: float = 1.0
    output_ids: Int32[ndarray, " U"] | None = None

    @property
    def num_tokens(self) -> int:
        """Count what the model has to read and write, special tokens and overlaps included."""
        written = 0 if self.output_ids is None else len(self.output_ids)
        return self.tokens_in + written

    @property
    def tokens_in(self) -> int:
        """Count what the model has to read, special tokens and overlaps included."""
        return sum(len(window) for window in self.windows)


def filled_up(examples: Sequence[Example], multiple: int) -> list[Example]:
    """Add an example that does not count, so that the tokens are a multiple of some number.

    Fewer tokens than `multiple` stay as they are. The added one repeats the longest window, as far
    as is needed, so that nothing is in it that the model could not read.
    """
    if examples[0].output_ids is not None:
        return _pairs_filled_up(examples, multiple)
    tokens = sum(example.tokens_in for example in examples)
    missing = -tokens % multiple
    if tokens < multiple or not missing:
        return list(examples)
    longest = max((window for example in examples for window in example.windows), key=len)
    rest = longest.cut(missing % len(longest))
    windows = (longest,) * (missing // len(longest)) + ((rest,) if len(rest) else ())
    return [*examples, replace(examples[0], windows=windows, weight=0.0)]


def _pairs_filled_up(examples: Sequence[Example], multiple: int) -> list[Example]:
    """Fill up what is read and what is written, each by itself, with pairs that do not count."""
    filled = list(examples)
    read = max((example.windows[0] for example in examples), key=len)
    written = max((_output(example) for example in examples), key=len)
    missing_in = -sum(example.tokens_in for example in examples) % multiple
    missing_out = -sum(len(_output(example)) for example in examples) % multiple
    if not (missing_in or missing_out):
        return filled
    # A pair has something on both sides, and no more than the longest that were there.
    count = max(-(-missing_in // len(read)), -(-missing_out // len(written)))
    if not (missing_in and missing_out) or min(missing_in, missing_out) < count:
        missing_in, missing_out = missing_in + multiple, missing_out + multiple
        count = max(-(-missing_in // len(read)), -(-missing_out // len(written)))
    if min(missing_in, missing_out) < count:
        return filled
    for i in range(count):
        shares = [(n * (i + 1)) // count - (n * i) // count for n in (missing_in, missing_out)]
        window, output = read.cut(shares[0]), written[: shares[1]]
        filled.append(replace(examples[0], windows=(window,), output_ids=output, weight=0.0))
    return filled


def _output(example: Example) -> Int32[ndarray, " U"]:
    if example.output_ids is None:
        raise DataError(f"row {example.row} has no target; give a table with targets")
    return example.output_ids


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
        output_ids: What is to be written about each window, with its end; None where nothing is.
    """

    input_ids: Ragged
    token_type_ids: Int[Tensor, " N"] | None
    owners: Int[Tensor, " W"]
    labels: Int[Tensor, " B"] | Float[Tensor, "B C"] | None
    rows: tuple[int, ...]
    weights: Float[Tensor, " B"] | None = None
    output_ids: Ragged | None = None

    @property
    def num_tokens(self) -> int:
        """Count the positions of the batch."""
        written = 0 if self.output_ids is None else len(self.output_ids.values)
        return len(self.input_ids.values) + written

    def by_example(self, found: Sequence[Found]) -> list[Found]:
        """Bring what was found of each window into the order of the examples, one window each."""
        places = {owner: place for place, owner in enumerate(self.owners.tolist())}
        return [found[places[number]] for number in range(len(found))]

    def to(self, device: torch.device) -> "Batch":
        """Bring all tensors to a device."""
        types, labels, weights = (
            None if x is None else x.to(device)
            for x in (self.token_type_ids, self.labels, self.weights)
        )
        owners = self.owners.to(device)
        outputs = None if self.output_ids is None else self.output_ids.to(device)
        return Batch(self.input_ids.to(device), types, owners, labels, self.rows, weights, outputs)


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
    writes = examples[0].output_ids is not None
    windows.sort(
        key=lambda pair: (-len(pair[0]), -len(_output(examples[pair[1]])) if writes else 0)
    )
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
        _outputs([examples[owner] for _, owner in windows]) if writes else None,
    )


def _outputs(examples: Sequence[Example]) -> Ragged:
    outputs = [_output(example) for example in examples]
    return Ragged(_joined(outputs), tuple(len(output) for output in outputs))


def _joined(parts: Sequence[Int32[ndarray, " _"]]) -> Shaped[Tensor, " N"]:
    return torch.from_numpy(numpy.concatenate(parts).astype(numpy.int64))
