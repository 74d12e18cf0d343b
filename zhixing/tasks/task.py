"""What every task promises to the training loop and to batched inference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.data.batch import Batch, Example
from zhixing.data.table import Table
from zhixing.layers.dropout import Noise
from zhixing.models.transformer import Transformer


@dataclass(frozen=True)
class Loss:
    """Hold a loss that has not been divided yet.

    Attributes:
        total: Sum over the targets, each times its weight.
        weight: Sum of the weights; for plain targets, their number.
    """

    total: Float[Tensor, ""]
    weight: float


@runtime_checkable
class Collator(Protocol):
    """The part of a task that makes batches."""

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Lay examples end to end, with their targets."""

    def filled_up(self, examples: Sequence[Example], multiple: int) -> list[Example]:
        """Add examples that do not count, so that the tokens are a multiple of some number."""


@runtime_checkable
class Scorer(Collator, Protocol):
    """A task whose model gives each example a row of logits."""

    def logits(self, model: Transformer, batch: Batch) -> Float[Tensor, "B C"]:
        """Compute what the model says of each example, before it becomes a result."""


@runtime_checkable
class Task(Collator, Protocol):
    """Know how text becomes tensors and tensors become results, for one kind of work.

    The training loop knows of a task only that it has examples, batches and a loss.
    """

    def encode(self, table: Table) -> list[Example]:
        """Turn rows of text into examples, any length of text included."""

    def weight(self, batch: Batch) -> float:
        """Tell by what the batch's summed loss is to be divided, before anything is computed."""

    def loss(
        self,
        model: Transformer,
        batch: Batch,
        *,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Loss:
        """Compute the summed loss of a batch."""

    def evaluate(
        self,
        model: Transformer,
        examples: Sequence[Example],
        table: Table,
        *,
        device: torch.device,
        precision: str,
    ) -> dict[str, float]:
        """Compute the task's metrics over a whole set, each by its name, and "loss"."""
