"""Classification report: accuracy, F1, calibration, each score with an interval."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from zhixing.data.batch import Example, label_ids, label_matrix
from zhixing.data.table import Table
from zhixing.errors import DataError
from zhixing.evaluation.bag_of_words import Baseline
from zhixing.evaluation.claims import RESAMPLES, Claim, Origin, signature_of
from zhixing.jobs.report import Agreement, Line, Report
from zhixing.metrics.accuracy import (
    ClassScore,
    accuracy,
    balanced_accuracy,
    class_scores,
    confusion_matrix,
    macro_f1,
    matthews,
    micro_f1,
    multilabel_scores,
)
from zhixing.metrics.calibration import Bin, calibration_error, reliability
from zhixing.metrics.intervals import bootstrap, bootstrap_interval
from zhixing.version import __version__

# How many classes a terminal shows.
MAX_CLASSES_SHOWN = 30


@dataclass(frozen=True)
class Mistake:
    """A text that was taken for something else.

    Attributes:
        index: Of the row within the set, from 0.
        row: Its number in the source.
        label: What it is.
        predicted: What it was taken for.
        confidence: How sure the model was of that.
    """

    index: int
    row: int
    label: str
    predicted: str
    confidence: float


@dataclass(frozen=True)
class ClassificationReport(Report):
    """Hold all that is known of a classifier on a set.

    Attributes:
        classes: Label to precision, recall, F1 and support.
        confusion: Rows are true, columns predicted; None for multi-label.
        bins: Confidence against accuracy.
        calibration_error: Over those bins, after the temperature.
        temperature: That divided the logits.
        majority: Accuracy of always saying the most frequent label; None for multi-label.
        mistakes: The surest first.
        tokens_read: Of `tokens_given`, how many the model has read.
        tokens_given: In all texts.
        baseline: Counting words, on the same rows; None where it was not computed.
    """

    classes: dict[str, ClassScore]
    confusion: list[list[int]] | None
    bins: list[Bin]
    calibration_error: float
    temperature: float
    majority: float | None
    mistakes: list[Mistake]
    tokens_read: int
    tokens_given: int
    baseline: Baseline | None = None

    pages: ClassVar[str] = "zhixing.jobs.classify.pages:report_sections"

    def lines(self) -> list[Line]:
        """Give scores, baselines, calibration and the weakest classes as lines of a terminal."""
        lines = self.score_lines()
        if self.baseline is not None:
            bag = f"bag of {self.baseline.unit}"
            lines.append((f"{bag:<20}{self.baseline.accuracy:7.3f}", ""))
        if self.majority is not None:
            lines.append((f"{'most frequent label':<20}{self.majority:7.3f}", ""))
        if self.baseline is not None:
            gain = self.baseline.gain
            low, high = 100 * gain.interval.low, 100 * gain.interval.high
            told = f"{100 * gain.difference:+.1f} points against the bag of {self.baseline.unit}"
            lines.append((f"{told} ({low:+.1f} to {high:+.1f})", ""))
        read = f"{self.tokens_read:,} of {self.tokens_given:,} tokens read"
        temperature = f"at temperature {self.temperature:.2f}"
        lines.append((f"calibration error {self.calibration_error:.3f} {temperature}; {read}", ""))
        return [*lines, (self.signature, "dim")]

    def detail_lines(self) -> list[Line]:
        """Give precision, recall and F1 of each class, the weakest first."""
        weakest = sorted(self.classes.items(), key=lambda pair: pair[1].f1)
        shown = weakest[:MAX_CLASSES_SHOWN]
        width = max(20, *(len(label) for label, _ in shown))
        lines = [(f"{'label':<{width}}  precision  recall     F1   rows", "")]
        for label, score in shown:
            row = f"{label:<{width}}  {score.precision:9.3f}  {score.recall:6.3f}  {score.f1:5.3f}"
            lines.append((f"{row}  {score.support:5}", ""))
        if len(weakest) > len(shown):
            told = f"the {len(shown)} weakest of {len(weakest)} classes; --out keeps them all"
            lines.append((told, ""))
        return lines


@dataclass(frozen=True)
class LabelAgreement(Agreement):
    """Say how far another precision moved a classifier's answers on some rows.

    Attributes:
        same_label: Share whose most probable label stayed.
        largest_shift: The most that any probability moved.
        mean_shift: Over rows, the mean of each row's largest.
        accuracy_before, accuracy_after: Where the rows are labelled, else None.
    """

    same_label: float
    largest_shift: float
    mean_shift: float
    accuracy_before: float | None
    accuracy_after: float | None

    def lines(self) -> list[Line]:
        """Give lines of a terminal."""
        told = f"{self.rows:,} rows: the same label on {self.same_label:.2%}; probabilities moved"
        lines = [
            (f"{told} by {self.mean_shift:.4f} on average, {self.largest_shift:.4f} at most", "")
        ]
        if self.accuracy_before is not None and self.accuracy_after is not None:
            before, after = self.accuracy_before, self.accuracy_after
            lines.append((f"accuracy {before:.4f} before, {after:.4f} after", ""))
        return lines


def label_agreement(
    logits: Sequence[Float[Tensor, "B C"]],
    examples: Sequence[Example],
    table: Table,
    *,
    is_multi_label: bool,
    temperature: float,
) -> LabelAgreement:
    """Say how far the labels and probabilities of two models are from each other."""
    chances = [
        (x / temperature).sigmoid() if is_multi_label else (x / temperature).softmax(-1)
        for x in logits
    ]
    shifts = (chances[0] - chances[1]).abs().max(-1).values
    accuracies: list[float | None] = [None, None]
    if table.labels is not None and not is_multi_label:
        targets = label_ids(examples)
        accuracies = [float((x.argmax(-1) == targets).double().mean()) for x in logits]
    return LabelAgreement(
        rows=len(examples),
        data=table.fingerprint(),
        version=__version__,
        same_label=float((logits[0].argmax(-1) == logits[1].argmax(-1)).double().mean()),
        largest_shift=float(shifts.max()),
        mean_shift=float(shifts.mean()),
        accuracy_before=accuracies[0],
        accuracy_after=accuracies[1],
    )


def evaluate_logits(
    logits: Float[Tensor, "B C"],
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    is_multi_label: bool,
    temperature: float,
    thresholds: Sequence[float],
    origin: Origin,
    max_mistakes: int = 20,
) -> ClassificationReport:
    """Score a classifier's logits.

    Raises:
        DataError: If there are no rows, or rows without labels.
    """
    if not examples or any(example.target is None for example in examples):
        raise DataError("scoring needs labelled rows, at least one; name the column with label=")
    if is_multi_label:
        return _multi_label(logits, examples, labels, temperature, thresholds, origin, max_mistakes)
    return _single_label(logits, examples, labels, temperature, origin, max_mistakes)


def _single_label(
    logits: Float[Tensor, "B C"],
    examples: Sequence[Example],
    labels: Sequence[str],
    temperature: float,
    origin: Origin,
    max_mistakes: int,
) -> ClassificationReport:
    targets = label_ids(examples)
    probabilities = (logits.double() / temperature).softmax(-1)
    confidence, predicted = probabilities.max(-1)
    correct = predicted == targets
    matrix = confusion_matrix(predicted, targets, len(labels))
    bins = reliability(confidence, correct)

    def claim(score: Callable[[Tensor], float]) -> Claim:
        def resampled(rows: Tensor) -> float:
            return score(confusion_matrix(predicted[rows], targets[rows], len(labels)))

        interval = bootstrap(resampled, len(targets), resamples=RESAMPLES, seed=origin.seed)
        return Claim(score(matrix), interval)

    # For one label a row, the micro F1 is the accuracy.
    share = bootstrap_interval(correct.double(), resamples=RESAMPLES, seed=origin.seed)
    scores = {
        "accuracy": Claim(accuracy(predicted, targets), share),
        "macro_f1": claim(macro_f1),
        "micro_f1": Claim(micro_f1(matrix), share),
        "balanced_accuracy": claim(balanced_accuracy),
        "matthews": claim(matthews),
    }
    return ClassificationReport(
        rows=len(examples),
        scores=scores,
        classes=dict(zip(labels, class_scores(matrix), strict=True)),
        confusion=matrix.tolist(),
        bins=bins,
        calibration_error=calibration_error(bins),
        temperature=temperature,
        majority=float(torch.bincount(targets).max()) / len(targets),
        mistakes=_mistakes(examples, labels, targets, predicted, confidence, max_mistakes),
        tokens_read=sum(e.tokens_read for e in examples),
        tokens_given=sum(e.tokens_given for e in examples),
        signature=signature_of("accuracy", len(examples), origin),
    )


def _mistakes(
    examples: Sequence[Example],
    labels: Sequence[str],
    targets: Int[Tensor, " B"],
    predicted: Int[Tensor, " B"],
    confidence: Float[Tensor, " B"],
    most: int,
) -> list[Mistake]:
    wrong = torch.nonzero(predicted != targets).flatten().tolist()
    wrong.sort(key=lambda i: -float(confidence[i]))
    return [
        Mistake(
            index=i,
            row=examples[i].row,
            label=labels[int(targets[i])],
            predicted=labels[int(predicted[i])],
            confidence=float(confidence[i]),
        )
        for i in wrong[:most]
    ]


def _multi_label(
    logits: Float[Tensor, "B C"],
    examples: Sequence[Example],
    labels: Sequence[str],
    temperature: float,
    thresholds: Sequence[float],
    origin: Origin,
    max_mistakes: int,
) -> ClassificationReport:
    targets = label_matrix(examples, len(labels))
    probabilities = (logits.double() / temperature).sigmoid()
    limits = torch.tensor(thresholds or [0.5] * len(labels), dtype=torch.float64)
    predicted = probabilities >= limits
    found = multilabel_scores(predicted, targets)

    def resampled(name: str) -> Claim:
        def statistic(rows: Int[Tensor, " B"]) -> float:
            return float(getattr(multilabel_scores(predicted[rows], targets[rows]), name))

        interval = bootstrap(statistic, len(targets), resamples=RESAMPLES, seed=origin.seed)
        return Claim(float(getattr(found, name)), interval)

    sureness = torch.where(predicted, probabilities, 1 - probabilities).flatten()
    bins = reliability(sureness, (predicted == targets).flatten())
    return ClassificationReport(
        rows=len(examples),
        scores={name: resampled(name) for name in ("micro_f1", "macro_f1", "exact_match")},
        classes=dict(zip(labels, found.classes, strict=True)),
        confusion=None,
        bins=bins,
        calibration_error=calibration_error(bins),
        temperature=temperature,
        majority=None,
        mistakes=_multi_mistakes(examples, labels, targets, predicted, probabilities, max_mistakes),
        tokens_read=sum(e.tokens_read for e in examples),
        tokens_given=sum(e.tokens_given for e in examples),
        signature=signature_of("micro_f1", len(examples), origin),
    )


def _multi_mistakes(
    examples: Sequence[Example],
    labels: Sequence[str],
    targets: Bool[Tensor, "B C"],
    predicted: Bool[Tensor, "B C"],
    probabilities: Float[Tensor, "B C"],
    most: int,
) -> list[Mistake]:
    def named(row: Bool[Tensor, " C"]) -> str:
        return ", ".join(labels[i] for i in torch.nonzero(row).flatten().tolist()) or "none"

    distance = (probabilities - targets.double()).abs().max(-1).values
    wrong = torch.nonzero((predicted != targets).any(-1)).flatten().tolist()
    wrong.sort(key=lambda i: -float(distance[i]))
    return [
        Mistake(i, examples[i].row, named(targets[i]), named(predicted[i]), float(distance[i]))
        for i in wrong[:most]
    ]
