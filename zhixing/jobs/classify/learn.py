"""How a classifier is trained: labelled rows, a classification head, calibration, a baseline."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch

from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Example, label_ids, label_matrix
from zhixing.data.roles import LABELLED, Role
from zhixing.data.table import Table, check_validation_labels
from zhixing.errors import DataError
from zhixing.evaluation.bag_of_words import compare
from zhixing.jobs.classify.report import ClassificationReport
from zhixing.jobs.classify.use import USE, Classifier
from zhixing.jobs.learn import Act, Learner, Outcome, Prepared
from zhixing.jobs.report import Report
from zhixing.jobs.use import Use
from zhixing.metrics.accuracy import best_thresholds
from zhixing.metrics.calibration import fit_multilabel_temperature, fit_temperature
from zhixing.models.transformer import Transformer
from zhixing.tasks.classification import ClassificationTask
from zhixing.training.recipe import DataChoice, Recipe
from zhixing.training.run_plan import RunPlan

# Of the largest weight: below it a float32 sum of losses no longer holds a row.
MIN_WEIGHT_SHARE = 1e-6


class ClassifyLearner(Learner):
    """Learn to give labels: one of them or several a text, to single texts or pairs."""

    name: ClassVar[str] = "classify"
    use: ClassVar[Use] = USE
    roles: ClassVar[tuple[Role, ...]] = LABELLED
    special: ClassVar[frozenset[str]] = frozenset(
        {
            *("data.multi_label", "data.label_separator", "data.class_weights"),
            *("max_windows", "label_smoothing", "new.pooling", "new.convolution_width"),
        }
    )
    act: ClassVar[Act | None] = Act(
        "Fine-tuning minilm to tell twelve intents of customer messages apart, on this machine.",
        title="Fresh messages",
        next_text="my parcel says delivered but there is nothing here",
        model="minilm",
        data="support",
        # Eight passes at a rate that suits so few rows; the held-out messages had no say in it.
        settings={"epochs": 8, "learning_rate": 2e-4, "batch_size": 16, "snapshot_minutes": 0},
    )

    def reading(self, choice: DataChoice) -> Mapping[str, Any]:
        """Read one label a row or several."""
        return {"multi_label": choice.multi_label, "label_separator": choice.label_separator}

    def recognizes(self, data: object, columns: Mapping[str, str]) -> bool:
        """Take every table of which no other task says that it is its own."""
        return True

    def usable(self, table: Table) -> Table:
        """Bring weights to a mean of one, and leave out rows that count nothing."""
        return _counted(table)

    def check(self, table: Table, validation: Table) -> None:
        """Refuse rows of a single label, and labels to be scored that are not learned."""
        labels = label_names(table)
        if len(labels) < 2 and not table.is_multi_label:
            counting = "" if table.weights is None else " of a weight above 0"
            raise DataError(
                f"{table.source}: every row{counting} has the label {labels[0]!r}; a "
                f"classifier needs rows of at least two labels"
            )
        if len(validation):
            check_validation_labels(table, validation)

    def num_outputs(self, table: Table) -> int:
        """Give one number a class."""
        return len(label_names(table))

    def keeps_head(self, pretrained: Pretrained, table: Table) -> bool:
        """Tell whether the loaded head has the same labels."""
        return list(pretrained.card.labels) == label_names(table)

    def make_task(self, pretrained: Pretrained, table: Table, recipe: Recipe) -> ClassificationTask:
        """Make the task of these labels."""
        labels = label_names(table)
        is_balanced = recipe.data.class_weights != "none"
        return ClassificationTask(
            pretrained.tokenizer,
            labels,
            max_positions=pretrained.config.max_positions,
            is_multi_label=table.is_multi_label,
            max_windows=recipe.training.max_windows,
            class_weights=class_weights(table, labels) if is_balanced else None,
            label_smoothing=recipe.training.label_smoothing,
        )

    def card(self, pretrained: Pretrained, table: Table, recipe: Recipe) -> Card:
        """Name the labels."""
        return Card(
            self.name,
            tuple(label_names(table)),
            is_multi_label=table.is_multi_label,
            is_pair=table.pairs is not None,
            label_separator=recipe.data.label_separator,
        )

    def conclude(self, plan: RunPlan, prepared: Prepared, model: Transformer) -> Outcome:
        """Calibrate the classifier on its validation rows, and score it beside a bag of words."""
        card, examples = prepared.pretrained.card, prepared.validation_examples
        if not examples:
            return Outcome(card)
        opened = self.opened(prepared, model)
        if not isinstance(opened, Classifier):
            raise TypeError(f"a classifier was opened as {type(opened).__name__}")
        examples = opened.encode(prepared.validation)
        logits = opened.logits(examples)
        card = calibrated(card, logits, examples)
        report: Report = opened.with_card(card).report(logits, examples, prepared.validation)
        report = _beside_bag(report, logits, prepared.table, prepared.validation, card.labels)
        return Outcome(replace(card, scores={"validation": report.kept()}), {"validation": report})

    def with_baseline(self, report: Report, model: Any, training: Table, table: Table) -> Report:
        """Add how a bag of words does."""
        logits = model.logits(model.encode(table))
        return _beside_bag(report, logits, training, table, model.labels)


LEARN = ClassifyLearner()


def label_names(table: Table) -> list[str]:
    """Name the classes: numbers in the order of their size, then words by the alphabet."""
    return list(table.label_counts())


def class_weights(table: Table, labels: Iterable[str]) -> list[float]:
    """Weigh each class by the inverse of its rows, with a mean of one over the rows."""
    counts: Counter[str] = Counter(table.label_counts())
    names = list(labels)
    total = sum(counts[name] for name in names)
    return [total / (len(names) * counts[name]) for name in names]


def calibrated(card: Card, logits: torch.Tensor, examples: list[Example]) -> Card:
    """Fit the temperature, and for multi-label the thresholds, on labelled rows."""
    if not card.is_multi_label:
        return replace(card, temperature=fit_temperature(logits, label_ids(examples)))
    targets = label_matrix(examples, logits.size(1))
    temperature = fit_multilabel_temperature(logits, targets)
    probabilities = (logits.double() / temperature).sigmoid()
    thresholds = best_thresholds(probabilities, targets)
    return replace(card, temperature=temperature, thresholds=tuple(thresholds.tolist()))


def _beside_bag(
    report: Report, logits: torch.Tensor, training: Table, table: Table, labels: Sequence[str]
) -> Report:
    if not isinstance(report, ClassificationReport):
        return report
    return replace(report, baseline=compare(training, table, labels, logits.argmax(-1)))


def _counted(table: Table) -> Table:
    """Bring weights to a mean of one, and leave out rows that count nothing.

    A batch of such rows alone would have no mean loss.
    """
    if table.weights is None:
        return table
    column = table.columns.get("weight", "of weights")
    kept = [i for i, weight in enumerate(table.weights) if weight]
    if not kept:
        raise DataError(f"{table.source}: the column {column!r} is 0 in every row; correct it")
    counted = table.select(kept)
    largest = max(table.weights)
    shares = [weight / largest for weight in counted.weights or []]
    mean = sum(shares) / len(shares)
    smallest = min(range(len(kept)), key=shares.__getitem__)
    if shares[smallest] < MIN_WEIGHT_SHARE:
        raise DataError(
            f"{table.source}: the column {column!r} holds {table.weights[kept[smallest]]:g} in row "
            f"{counted.rows[smallest]} and {largest:g} elsewhere; weights have to lie within a "
            f"factor of {1 / MIN_WEIGHT_SHARE:,.0f}, or be 0 to leave a row out"
        )
    return counted.with_cells("weight", [share / mean for share in shares])
