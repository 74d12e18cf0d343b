"""Calibration: reliability bins, expected calibration error (ECE), temperature scaling."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from zhixing.errors import DataError
from zhixing.metrics.rows import (
    require_classes,
    require_finite,
    require_probabilities,
    require_rows,
)

MIN_TEMPERATURE = 0.05
MAX_TEMPERATURE = 20.0


@dataclass(frozen=True)
class Bin:
    """A reliability bin: the rows whose confidence lies above `low` and up to `high`.

    Attributes:
        low: Lower edge, exclusive (but the first bin holds 0 too).
        high: Upper edge, inclusive.
        count: Number of rows in the bin.
        confidence: Mean probability of the predicted class; 0 in an empty bin.
        accuracy: Share of the rows that are right; 0 in an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(
    probabilities: Float[Tensor, " B"], is_correct: Bool[Tensor, " B"], num_bins: int = 15
) -> list[Bin]:
    """Sort rows into reliability bins of equal width by confidence, each with its accuracy.

    Empty bins are returned too.

    Raises:
        DataError: There are no rows, not equally many on both sides, a probability is not in
            0 to 1, or `num_bins` is below 1.

    Source:
        Guo et al. 2017, arXiv:1706.04599, section 2.

    Example:
        >>> reliability(torch.tensor([0.25, 0.75]), torch.tensor([False, True]), num_bins=2)[1]
        Bin(low=0.5, high=1.0, count=1, confidence=0.75, accuracy=1.0)
    """
    require_rows({"probabilities": len(probabilities), "is_correct": len(is_correct)})
    require_probabilities("probabilities", probabilities)
    if num_bins < 1:
        raise DataError(f"num_bins is {num_bins}, but there must be at least 1; 15 is customary")
    edges = [i / num_bins for i in range(num_bins + 1)]
    # In the dtype of the probabilities, or 0.2 in float32 would lie above an edge of 0.2.
    inner = torch.tensor(edges[1:-1], dtype=probabilities.dtype, device=probabilities.device)
    places = torch.bucketize(probabilities, inner)
    counts = torch.bincount(places, minlength=num_bins)
    divisor = counts.clamp(min=1)
    confidence = _sum_by(places, probabilities.double(), num_bins) / divisor
    share = _sum_by(places, is_correct.double(), num_bins) / divisor
    columns = (edges[:-1], edges[1:], counts.tolist(), confidence.tolist(), share.tolist())
    return [Bin(*row) for row in zip(*columns, strict=True)]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Give the expected calibration error (ECE): mean |accuracy - confidence| over the rows' bins.

    Each bin is weighted by its rows. It depends on the number of bins, which therefore
    belongs beside the figure.

    Raises:
        DataError: The bins hold no row.

    Source:
        Guo et al. 2017, arXiv:1706.04599, equation 3.

    Example:
        >>> calibration_error([Bin(0.0, 0.5, 1, 0.5, 0.0), Bin(0.5, 1.0, 3, 0.75, 1.0)])
        0.3125
    """
    total = sum(each.count for each in bins)
    if total < 1:
        raise DataError(
            f"{len(bins)} bins hold {total} rows, but an error needs at least 1; "
            "pass what `reliability` gives"
        )
    return sum(each.count * abs(each.accuracy - each.confidence) for each in bins) / total


def fit_temperature(logits: Float[Tensor, "B C"], labels: Int[Tensor, " B"]) -> float:
    """Fit the temperature (temperature scaling): divided by it, logits give calibrated confidences.

    It minimizes the negative log-likelihood of rows that the model was not trained on. No
    predicted class changes, only how sure it is: above 1 the model was too sure of itself. The
    result lies in 0.05 to 20; an end of that range means that the rows know no better one (all
    of them right, say). Logits that are equal within every row fit any temperature, and give 1.

    Raises:
        DataError: There are no rows, not equally many on both sides, a logit is not finite, or a
            label is out of range.

    Source:
        Guo et al. 2017, arXiv:1706.04599, section 4.2. We bisect the derivative instead of
        running a general optimizer: the loss is convex in one over the temperature.

    Example:
        >>> logits = torch.tensor([[4.0, 0.0]] * 4)  # 98 % sure, but right 3 times in 4
        >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 3)
        3.641
    """
    require_rows({"logits": len(logits), "labels": len(labels)})
    require_classes("labels", labels, logits.size(1))
    require_finite("logits", logits)
    # Only differences within a row count; with the greatest at 0 the sums below lose no digits.
    scores = logits.double() - logits.double().max(1, keepdim=True).values
    truth = scores.gather(1, labels.long()[:, None]).squeeze(1)

    def slope(sharpness: float) -> float:
        expected = (scores * (scores * sharpness).softmax(1)).sum(1)
        return float((expected - truth).mean())

    return _temperature_at_the_minimum(slope)


def fit_multilabel_temperature(logits: Float[Tensor, "B C"], labels: Bool[Tensor, "B C"]) -> float:
    """Fit the temperature of multi-label logits (temperature scaling), as `fit_temperature` does.

    One temperature for all classes, so that their order in a row stays; it minimizes the mean
    binary cross-entropy over all rows and classes, within the same limits.

    Raises:
        DataError: There are no rows, the two sides differ in rows or classes, or a logit is not
            finite.
    """
    require_rows({"logits": len(logits), "labels": len(labels)})
    if logits.shape != labels.shape or logits.size(1) == 0:
        raise DataError(
            f"logits has {logits.size(1)} classes and labels has {labels.size(1)}, but both need "
            "the same number and at least 1; use the label names of one model for both"
        )
    require_finite("logits", logits)
    scores, truth = logits.double(), labels.double()

    def slope(sharpness: float) -> float:
        return float((scores * ((scores * sharpness).sigmoid() - truth)).mean())

    return _temperature_at_the_minimum(slope)


def _temperature_at_the_minimum(slope: Callable[[float], float]) -> float:
    """Bisect the derivative of a loss, which rises with the sharpness, one over the temperature."""
    if slope(1.0) == 0.0:
        return 1.0
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    if slope(1 / MIN_TEMPERATURE) <= 0:
        return MIN_TEMPERATURE
    if slope(1 / MAX_TEMPERATURE) >= 0:
        return MAX_TEMPERATURE
    # 6 wide, halved 50 times: finer than a float64 near 1 can tell apart.
    for _ in range(50):
        middle = (low + high) / 2
        if slope(math.exp(-middle)) > 0:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _sum_by(
    places: Int[Tensor, " B"], values: Float[Tensor, " B"], num_bins: int
) -> Float[Tensor, " M"]:
    return torch.bincount(places, weights=values, minlength=num_bins)
