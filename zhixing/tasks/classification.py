"""Text classification (sentiment, topics, intents): a text or a pair to one label or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from zhixing.data.batch import Batch, Example, label_ids, label_matrix, lay_out
from zhixing.data.table import Table
from zhixing.data.windows import Coverage
from zhixing.errors import ConfigError, DataError
from zhixing.layers.dropout import Noise
from zhixing.layers.ragged import Ragged
from zhixing.metrics.accuracy import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
    matthews,
    micro_f1,
    multilabel_scores,
)
from zhixing.models.transformer import Transformer
from zhixing.tasks.inference import logits_of
from zhixing.tasks.task import Loss
from zhixing.tasks.text_reading import TextReader
from zhixing.tokenization.tokenizer import Tokenizer


@dataclass(frozen=True)
class Classification:
    """Say what one text was found to be.

    Attributes:
        label: The most probable label; None if its score is below the threshold asked for, or
            for multi-label.
        score: Its calibrated probability, also where `label` is None.
        scores: Every label's probability, or the `top_k` most probable.
        labels: For multi-label, all that reach their thresholds; else the label alone.
        coverage: How much of the text was read.
    """

    label: str | None
    score: float
    scores: Mapping[str, float]
    labels: tuple[str, ...]
    coverage: Coverage

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return {
            "label": self.label,
            "score": self.score,
            "scores": dict(self.scores),
            "labels": list(self.labels),
            "coverage": self.coverage.to_dict(),
        }


class ClassificationTask(TextReader):
    """Classify texts of any length.

    Args:
        tokenizer: The model's.
        labels: Names of the classes, in the order of the logits.
        max_positions: Tokens the model can read at once; None for no limit.
        is_multi_label: A text may bear several labels, or none.
        max_windows: Windows of one text at most, taken evenly; 0 for all.
        class_weights: Factor on each class's loss.
        label_smoothing: Share of the target spread over all classes.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        labels: Sequence[str],
        *,
        max_positions: int | None,
        is_multi_label: bool = False,
        max_windows: int = 0,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        if len(set(labels)) != len(labels) or not labels:
            raise ConfigError(
                f"labels are {list(labels)}; there has to be one of each, at least one"
            )
        if not 0.0 <= label_smoothing < 1.0:
            raise ConfigError(f"label_smoothing is {label_smoothing}; allowed is 0 to below 1")
        super().__init__(tokenizer, max_positions=max_positions, max_windows=max_windows)
        self.labels = tuple(labels)
        self.ids = {name: i for i, name in enumerate(self.labels)}
        self.is_multi_label = is_multi_label
        self.class_weights = None if class_weights is None else torch.tensor(class_weights)
        self.label_smoothing = label_smoothing

    def encode(self, table: Table) -> list[Example]:
        """Tokenize all rows and cut the long ones into windows.

        Raises:
            DataError: If a label is not among the task's.
        """
        return self.examples(table, self._label_ids(table))

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Lay examples end to end, their labels beside them."""
        return lay_out(examples, self._targets(examples))

    def weight(self, batch: Batch) -> float:
        """Count the targets of a batch, each by its row's weight and its class's."""
        return self._weight(_tensor(batch.target), batch.weights)

    def loss(
        self,
        model: Transformer,
        batch: Batch,
        *,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Loss:
        """Compute the summed cross-entropy, or for multi-label the summed binary one."""
        weight = self.weight(batch)
        logits = self.averaged_logits(
            model, batch, noise=noise, gradient_checkpointing=gradient_checkpointing
        )
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return Loss(self._summed(wide, _tensor(batch.target), batch.weights), weight)

    def logits(self, model: Transformer, batch: Batch) -> Float[Tensor, "B C"]:
        """Average the logits of each text's windows."""
        return self.averaged_logits(model, batch)

    def evaluate(
        self,
        model: Transformer,
        examples: Sequence[Example],
        table: Table,
        *,
        device: torch.device,
        precision: str,
    ) -> dict[str, float]:
        """Predict all examples and score them; their labels are in the examples."""
        logits = logits_of(model, self, examples, device=device, precision=precision)
        return self.score(logits, examples)

    def score(self, logits: Float[Tensor, "B C"], examples: Sequence[Example]) -> dict[str, float]:
        """Compute the loss and the usual scores; for multi-label at a probability of one half.

        Every row counts alike, whatever its weight in training.
        """
        targets = self._targets(examples)
        if targets is None:
            raise DataError("these rows have no labels to score against; give a labelled table")
        total = float(self._summed(logits.float(), targets))
        scores = {"loss": total / self._weight(targets)}
        if self.is_multi_label:
            found = multilabel_scores(logits > 0, targets > 0.5)
            return scores | {
                "micro_f1": found.micro_f1,
                "macro_f1": found.macro_f1,
                "exact_match": found.exact_match,
            }
        predicted = logits.argmax(-1)
        matrix = confusion_matrix(predicted, targets, len(self.labels))
        return scores | {
            "accuracy": accuracy(predicted, targets),
            "macro_f1": macro_f1(matrix),
            "micro_f1": micro_f1(matrix),
            "balanced_accuracy": balanced_accuracy(matrix),
            "matthews": matthews(matrix),
        }

    def decode(
        self,
        logits: Float[Tensor, "B C"],
        examples: Sequence[Example],
        *,
        temperature: float = 1.0,
        thresholds: Sequence[float] = (),
        threshold: float = 0.0,
        top_k: int = 0,
    ) -> list[Classification]:
        """Turn logits into results.

        Args:
            logits: One row a text.
            examples: The texts.
            temperature: Divides the logits; fitted on validation rows.
            thresholds: For multi-label, the probability from which each label counts.
            threshold: Below this probability no label is given.
            top_k: How many labels `scores` keeps, most probable first; 0 for all, in class order.
        """
        scaled = logits.double() / temperature
        probabilities = scaled.sigmoid() if self.is_multi_label else scaled.softmax(-1)
        return [
            self._result(row, example, thresholds, threshold, top_k)
            for row, example in zip(probabilities.tolist(), examples, strict=True)
        ]

    def _result(
        self,
        row: list[float],
        example: Example,
        thresholds: Sequence[float],
        threshold: float,
        top_k: int,
    ) -> Classification:
        best = max(range(len(row)), key=row.__getitem__)
        order: Sequence[int] = range(len(row))
        if top_k:
            order = sorted(order, key=lambda i: -row[i])[:top_k]
        if self.is_multi_label:
            limits = thresholds or [0.5] * len(row)
            chosen = [i for i in range(len(row)) if row[i] >= max(limits[i], threshold)]
            label = None
        else:
            chosen = [best] if row[best] >= threshold else []
            label = self.labels[best] if chosen else None
        return Classification(
            label=label,
            score=row[best],
            scores={self.labels[i]: row[i] for i in order},
            labels=tuple(self.labels[i] for i in chosen),
            coverage=Coverage(example.tokens_read, example.tokens_given),
        )

    def _label_ids(self, table: Table) -> list[tuple[int, ...]] | None:
        if table.labels is None:
            return None
        named = [label if isinstance(label, tuple) else (label,) for label in table.labels]
        unknown = [
            (table.rows[i], name)
            for i, names in enumerate(named)
            for name in names
            if name not in self.ids
        ]
        if unknown:
            row, name = unknown[0]
            known = ", ".join(self.labels[:12]) + (", ..." if len(self.labels) > 12 else "")
            raise DataError(
                f"{table.source}: {len(unknown)} labels are unknown to the model, the first in "
                f"row {row}: {name!r}; known are {known}: correct them or train with them"
            )
        return [tuple(self.ids[name] for name in names) for names in named]

    def _targets(
        self, examples: Sequence[Example]
    ) -> Int[Tensor, " B"] | Float[Tensor, "B C"] | None:
        if not examples or any(e.target is None for e in examples):
            return None
        if self.is_multi_label:
            return label_matrix(examples, len(self.labels)).float()
        return label_ids(examples)

    def _weight(self, targets: Tensor | None, row_weights: Tensor | None = None) -> float:
        """Count what `_summed` sums over."""
        if targets is None:
            raise _unlabelled()
        counts = targets.new_ones(len(targets), dtype=torch.float64)
        if self.is_multi_label:
            counts *= targets.size(-1)
        elif self.class_weights is not None:
            counts *= self.class_weights[targets.cpu()].to(counts)
        return float((counts if row_weights is None else counts * row_weights).sum())

    def _summed(
        self,
        logits: Float[Tensor, "B C"],
        targets: Tensor | None,
        row_weights: Float[Tensor, " B"] | None = None,
    ) -> Float[Tensor, ""]:
        if targets is None:
            raise _unlabelled()
        weights = None if self.class_weights is None else self.class_weights.to(logits)
        reduction = "sum" if row_weights is None else "none"
        if self.is_multi_label:
            smooth = targets.to(logits) * (1 - self.label_smoothing) + self.label_smoothing / 2
            losses = functional.binary_cross_entropy_with_logits(
                logits, smooth, pos_weight=weights, reduction=reduction
            )
        else:
            losses = functional.cross_entropy(
                logits,
                targets,
                weight=weights,
                reduction=reduction,
                label_smoothing=self.label_smoothing,
            )
        if row_weights is None:
            return losses
        return (losses.view(len(logits), -1).sum(-1) * row_weights.to(losses)).sum()


def _tensor(target: Tensor | Ragged | None) -> Tensor | None:
    return target if isinstance(target, Tensor) else None


def _unlabelled() -> DataError:
    return DataError("these rows have no labels, and a loss needs them; give a labelled table")
