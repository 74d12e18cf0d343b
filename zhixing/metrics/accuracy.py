"""Classification metrics: accuracy, precision, recall, F1, confusion matrix, Matthews correlation.

A quotient whose divisor is zero counts as 0 throughout: the precision of a class that was never
predicted, the recall of a class that never occurs, the F1 of a class with neither.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int, Int64
from torch import Tensor

from zhixing.errors import DataError
from zhixing.metrics.rows import require_classes, require_probabilities, require_rows


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of one class.

    Attributes:
        precision: Share of the rows predicted as this class that belong to it.
        recall: Share of the rows that belong to this class that were predicted so.
        f1: Harmonic mean of the two.
        support: Number of rows that belong to the class.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class MultilabelScores:
    """Scores of multi-label classification: micro and macro F1, exact match.

    Attributes:
        micro_f1: F1 of all decisions counted together.
        macro_f1: Mean F1 of the classes that occur or were predicted at least once.
        exact_match: Share of the rows whose whole set of labels is right.
        classes: One score for each class, in the order of the columns.
    """

    micro_f1: float
    macro_f1: float
    exact_match: float
    classes: tuple[ClassScore, ...]


def accuracy(predicted: Int[Tensor, " B"], labels: Int[Tensor, " B"]) -> float:
    """Give the accuracy: the share of rows whose predicted class is the true one.

    Raises:
        DataError: There are no rows, or not equally many on both sides.

    Example:
        >>> accuracy(torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 1, 1]))
        0.75
    """
    require_rows({"predicted": len(predicted), "labels": len(labels)})
    return int((predicted == labels).sum()) / len(labels)


def confusion_matrix(
    predicted: Int[Tensor, " B"], labels: Int[Tensor, " B"], num_classes: int
) -> Int64[Tensor, "C C"]:
    """Build the confusion matrix: rows counted by true class (row) and predicted class (column).

    All scores below are read off this matrix, so the predictions are walked through once.

    Raises:
        DataError: There are no rows, not equally many on both sides, or an id is out of range.

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    require_rows({"predicted": len(predicted), "labels": len(labels)})
    require_classes("predicted", predicted, num_classes)
    require_classes("labels", labels, num_classes)
    pairs = labels.long() * num_classes + predicted.long()
    counts = torch.bincount(pairs, minlength=num_classes * num_classes)
    return counts.view(num_classes, num_classes)


def class_scores(matrix: Int[Tensor, "C C"]) -> list[ClassScore]:
    """Give precision, recall and F1 of every class of a confusion matrix.

    Example:
        >>> class_scores(torch.tensor([[2, 0], [1, 1]]))[1]
        ClassScore(precision=1.0, recall=0.5, f1=0.6666666666666666, support=2)
    """
    _require_counts(matrix)
    return _scores(matrix.diagonal(), matrix.sum(0), matrix.sum(1))


def macro_f1(matrix: Int[Tensor, "C C"]) -> float:
    """Give the macro F1: averaged over classes, a rare one weighing as much as a common one.

    Classes that neither occur nor were predicted are left out: a validation set that lacks them
    says nothing about them.
    """
    _require_counts(matrix)
    seen = (matrix.sum(0) + matrix.sum(1)) > 0
    return float(_f1(matrix.diagonal(), matrix.sum(0), matrix.sum(1))[seen].mean())


def micro_f1(matrix: Int[Tensor, "C C"]) -> float:
    """Give the micro F1: of all decisions counted together, which is the accuracy.

    With one class a row every false positive of one class is a false negative of another, so
    precision, recall, F1 and accuracy are one number. It is here because tables ask for it.
    """
    _require_counts(matrix)
    return float(matrix.diagonal().sum().double() / matrix.sum())


def balanced_accuracy(matrix: Int[Tensor, "C C"]) -> float:
    """Give the balanced accuracy: the recall averaged over the classes that occur.

    Source:
        Brodersen et al. 2010, "The balanced accuracy and its posterior distribution", section II.
    """
    _require_counts(matrix)
    support = matrix.sum(1)
    recall = _divide(matrix.diagonal(), support)
    return float(recall[support > 0].mean())


def matthews(matrix: Int[Tensor, "C C"]) -> float:
    """Give the Matthews correlation coefficient (MCC): 1 is perfect, 0 chance, -1 the worst.

    Where all rows belong to one class, or all were predicted as one, there is nothing to
    correlate, and the result is 0.

    Source:
        Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation
        coefficient", equation 8.
    """
    _require_counts(matrix)
    counts = matrix.double()
    rows, columns, total = counts.sum(1), counts.sum(0), counts.sum()
    covariance = counts.diagonal().sum() * total - rows @ columns
    spread = (total**2 - rows @ rows) * (total**2 - columns @ columns)
    return float(_divide(covariance, spread.sqrt()))


def multilabel_scores(
    predicted: Bool[Tensor, "B C"], labels: Bool[Tensor, "B C"]
) -> MultilabelScores:
    """Score multi-label classification, whose rows carry none, one or several labels.

    Two empty sets agree: a row without labels for which none was predicted is an exact match.

    Raises:
        DataError: There are no rows, or the two sides differ in rows or classes.
    """
    require_rows({"predicted": len(predicted), "labels": len(labels)})
    _require_same_classes("predicted", predicted.size(1), labels.size(1))
    right, guessed, support = (predicted & labels).sum(0), predicted.sum(0), labels.sum(0)
    f1 = _f1(right, guessed, support)
    seen = (guessed + support) > 0
    return MultilabelScores(
        micro_f1=float(_f1(right.sum(), guessed.sum(), support.sum())),
        macro_f1=float(f1[seen].mean()) if bool(seen.any()) else 0.0,
        exact_match=float((predicted == labels).all(1).double().mean()),
        classes=tuple(_scores(right, guessed, support)),
    )


def best_thresholds(
    probabilities: Float[Tensor, "B C"], labels: Bool[Tensor, "B C"]
) -> Float64[Tensor, " C"]:
    """Choose for each class the decision threshold on its probability that gives the best F1.

    A label is given where `probability >= threshold`; to be used on rows other than those that
    were scored. A threshold lies half way between the lowest probability that it accepts and the
    highest that it rejects (0 where it rejects none). Of several that reach the same F1 the one
    nearest to 0.5 is taken, the higher one where two are equally near. A class that no row
    carries teaches nothing, and gets 0.5.

    Raises:
        DataError: There are no rows, the two sides differ in rows or classes, or a probability
            is not in 0 to 1.

    Example:
        >>> probabilities = torch.tensor([[0.9], [0.25], [0.15]])
        >>> best_thresholds(probabilities, torch.tensor([[True], [True], [False]]))
        tensor([0.2000], dtype=torch.float64)
    """
    require_rows({"probabilities": len(probabilities), "labels": len(labels)})
    _require_same_classes("probabilities", probabilities.size(1), labels.size(1))
    require_probabilities("probabilities", probabilities)
    accepted, order = probabilities.double().sort(dim=0, descending=True)
    rejected = torch.cat([accepted[1:], torch.zeros_like(accepted[:1])])
    halfway = (accepted + rejected) / 2
    # Between neighbouring floats half way may round down onto the one that is to be rejected.
    thresholds = torch.where(halfway > rejected, halfway, accepted)

    right = labels.gather(0, order).cumsum(0)
    given = torch.arange(1, len(labels) + 1, device=labels.device)[:, None].expand_as(right)
    f1 = _f1(right, given, labels.sum(0).expand_as(right))
    # Equal probabilities are accepted together or not at all. The last row may reject nothing.
    separable = accepted > rejected
    separable[-1] = True
    f1 = f1.masked_fill(~separable, -1.0)

    distance = (thresholds - 0.5).abs().masked_fill(f1 < f1.max(0).values, torch.inf)
    # argmin takes any of several; the first is the highest, as they are in falling order.
    nearest = (distance == distance.min(0).values).long().cumsum(0).eq(0).sum(0)
    chosen = thresholds.gather(0, nearest[None]).squeeze(0)
    return torch.where(labels.any(0), chosen, 0.5)


def _divide(dividend: Tensor, divisor: Tensor) -> Tensor:
    """Divide in float64, giving 0 where the divisor is 0."""
    quotient = dividend.double() / divisor.double()
    return torch.where(divisor == 0, 0.0, quotient)


def _f1(right: Tensor, guessed: Tensor, support: Tensor) -> Tensor:
    """Give F1 from counts; one division, so that equal scores are equal bit for bit."""
    return _divide(2 * right, guessed + support)


def _scores(
    right: Int[Tensor, " C"], guessed: Int[Tensor, " C"], support: Int[Tensor, " C"]
) -> list[ClassScore]:
    columns = (_divide(right, guessed), _divide(right, support), _f1(right, guessed, support))
    return [
        ClassScore(precision, recall, f1, count)
        for precision, recall, f1, count in zip(
            *(column.tolist() for column in columns), support.tolist(), strict=True
        )
    ]


def _require_counts(matrix: Int[Tensor, "C C"]) -> None:
    rows, columns = matrix.shape
    if rows != columns:
        raise DataError(
            f"matrix has {rows} rows and {columns} columns, but a confusion matrix is square; "
            "build it with confusion_matrix"
        )
    total = int(matrix.sum())
    if total < 1:
        raise DataError(
            f"matrix counts {total} rows, but a score needs at least 1; "
            "look at what was read or filtered"
        )


def _require_same_classes(name: str, num_classes: int, num_labels: int) -> None:
    if num_classes != num_labels or num_labels == 0:
        raise DataError(
            f"{name} has {num_classes} classes and labels has {num_labels}, but both need the same "
            "number and at least 1; use the label names of one model for both"
        )
