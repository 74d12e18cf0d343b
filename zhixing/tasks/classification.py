"""Labels and sentiment: one text, or a pair, to one label or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from zhixing.data.batch import Batch, Example, Window, label_ids, label_matrix, lay_out
from zhixing.data.table import Table
from zhixing.data.windows import Coverage, covered, pair_bounds, spread, window_bounds
from zhixing.errors import ConfigError, DataError
from zhixing.layers.dropout import Noise
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
from zhixing.tasks.batching import logits_of
from zhixing.tasks.task import Loss
from zhixing.tokenization.tokenizer import Tokenizer

OVERLAP_SHARE = 8


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


class ClassificationTask:
    """Classify texts of any length.

    A text longer than the model is read in windows that overlap by an eighth; the logits of its
    windows are averaged, while training as while predicting.

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
        self.tokenizer = tokenizer
        self.labels = tuple(labels)
        self.ids = {name: i for i, name in enumerate(self.labels)}
        self.max_positions = max_positions
        self.is_multi_label = is_multi_label
        self.max_windows = max_windows
        self.class_weights = None if class_weights is None else torch.tensor(class_weights)
        self.label_smoothing = label_smoothing

    def encode(self, table: Table) -> list[Example]:
        """Tokenize all rows and cut the long ones into windows.

        Raises:
            DataError: If a label is not among the task's.
        """
        firsts = self.tokenizer.ids(table.texts)
        seconds = None if table.pairs is None else self.tokenizer.ids(table.pairs)
        labels = self._label_ids(table)
        examples = []
        for i, first in enumerate(firsts):
            second = None if seconds is None else seconds[i]
            windows, read = self._windows(first, second)
            given = len(first) + (0 if second is None else len(second))
            label = None if labels is None else labels[i]
            weight = 1.0 if table.weights is None else table.weights[i]
            row = table.rows[i]
            examples.append(Example(tuple(windows), label, row, given, read, weight))
        return examples

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Lay examples end to end, their labels beside them."""
        return lay_out(examples, self._targets(examples))

    def weight(self, batch: Batch) -> float:
        """Count the targets of a batch, each by its row's weight and its class's."""
        return self._weight(batch.labels, batch.weights)

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
        logits = self._averaged(
            model, batch, noise=noise, gradient_checkpointing=gradient_checkpointing
        )
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return Loss(self._summed(wide, batch.labels, batch.weights), weight)

    def logits(self, model: Transformer, batch: Batch) -> Float[Tensor, "B C"]:
        """Average the logits of each text's windows."""
        return self._averaged(model, batch)

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

    def _windows(self, first: list[int], second: list[int] | None) -> tuple[list[Window], int]:
        """Cut one row into windows; also count the tokens that stand in one of them."""
        paired = second is not None
        given = len(first) + (len(second) if second is not None else 0)
        room = given
        if self.max_positions is not None:
            room = self.max_positions - self.tokenizer.num_special(pair=paired)
        if given <= room:
            return [self._window(first, second)], given
        if second is None:
            bounds = window_bounds(given, size=room, overlap=room // OVERLAP_SHARE)
            kept = [bounds[i] for i in self._chosen(len(bounds))]
            return [self._window(first[a:b], None) for a, b in kept], covered(kept)
        pairs = pair_bounds(len(first), len(second), room=room, overlap=room // OVERLAP_SHARE)
        both = [pairs[i] for i in self._chosen(len(pairs))]
        read = sum(covered(sorted({pair[side] for pair in both})) for side in (0, 1))
        return [self._window(first[a:b], second[c:d]) for (a, b), (c, d) in both], read

    def _chosen(self, count: int) -> list[int]:
        return spread(count, at_most=self.max_windows or count)

    def _window(self, first: list[int], second: list[int] | None) -> Window:
        wrapped = self.tokenizer.wrap(first, second)
        types = wrapped.token_type_ids
        return Window(
            numpy.asarray(wrapped.input_ids, dtype=numpy.int32),
            numpy.asarray(types, dtype=numpy.int32) if any(types) else None,
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
        if not examples or any(e.labels is None for e in examples):
            return None
        if self.is_multi_label:
            return label_matrix(examples, len(self.labels)).float()
        return label_ids(examples)

    def _averaged(
        self,
        model: Transformer,
        batch: Batch,
        *,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Float[Tensor, "B C"]:
        logits = model.classify(
            batch.input_ids,
            batch.token_type_ids,
            noise=noise,
            gradient_checkpointing=gradient_checkpointing,
        )
        counts = torch.bincount(batch.owners, minlength=len(batch.rows))
        sums = logits.new_zeros(len(batch.rows), logits.size(-1))
        return sums.index_add(0, batch.owners, logits) / counts.to(logits.dtype).unsqueeze(-1)

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


def _unlabelled() -> DataError:
    return DataError("these rows have no labels, and a loss needs them; give a labelled table")
