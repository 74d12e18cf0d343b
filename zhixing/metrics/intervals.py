"""Bootstrap confidence intervals of scores, and paired tests of whether two systems differ."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from zhixing.errors import DataError
from zhixing.metrics.rows import require_finite, require_rows

# Random numbers drawn at once: 2 million int64 take 16 MB, however many rows there are.
MAX_NUMBERS_AT_ONCE = 2_000_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A confidence interval: it holds the population's score in `level` of all such samples."""

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class PairedDifference:
    """How two systems differ on the same rows, with confidence interval and p-value.

    The p-value is how often chance alone would give a difference at least as large, if the two were
    equally good.
    """

    difference: float
    interval: Interval
    p_value: float


def bootstrap_interval(
    scores_per_row: Float[Tensor, " B"], *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Give the bootstrap confidence interval of a mean: rows redrawn with replacement.

    The interval holds 95 % of the resampled means. The same arguments always give the same
    interval, and memory stays below some 50 MB.

    Raises:
        DataError: There are no rows, a score is not finite, or `resamples` is below 2.

    Source:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.

    Example:
        >>> bootstrap_interval(torch.tensor([0.0, 1.0] * 50))
        Interval(low=0.4, high=0.6, level=0.95)
    """
    _require_scores("scores_per_row", scores_per_row)
    _require_resamples(resamples)
    return _percentiles(_resampled_means(scores_per_row, resamples, seed))


def bootstrap(
    statistic: Callable[[Int64[Tensor, " B"]], float],
    num_rows: int,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Give the bootstrap confidence interval of any statistic of rows, such as a macro F1.

    The statistic gives the score of the rows whose indices it is handed (on the CPU); a row may
    come more than once. Where a score cannot be computed from the rows drawn, it should be 0 by the
    metric's own rule.

    Raises:
        DataError: There are no rows, a resampled score is not finite, or `resamples` is below 2.

    Source:
        Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3.

    Example:
        >>> values = torch.arange(100.0)
        >>> bootstrap(lambda rows: float(values[rows].median()), 100, resamples=200)
        Interval(low=38.975, high=61.0, level=0.95)
    """
    require_rows({"the table": num_rows})
    _require_resamples(resamples)
    draws = _random_integers(num_rows, num_rows, resamples, seed)
    scores = [statistic(rows) for chunk in draws for rows in chunk]
    resampled = torch.tensor(scores, dtype=torch.float64)
    require_finite("resampled score ", resampled)
    return _percentiles(resampled)


def paired_difference(
    first: Float[Tensor, " B"], second: Float[Tensor, " B"], *, resamples: int = 2000
) -> PairedDifference:
    """Test whether one system is better than another on the same rows (paired randomization).

    Rows that are hard for both cancel out, so far smaller differences show than by comparing two
    separate intervals. The interval is a bootstrap of the rows' differences. The p-value comes
    from a randomization test with two sides: each row's two scores are swapped by a coin, and the
    share of differences at least as large as the one seen is counted, that one included (so it
    is never 0).

    Raises:
        DataError: There are no rows, not equally many on both sides, a score is not finite, or
            `resamples` is below 2.

    Source:
        Interval: Efron and Tibshirani 1993, section 13.3. Test: Noreen 1989, "Computer Intensive
        Methods for Testing Hypotheses", as recommended in Riezler and Maxwell 2005.
    """
    require_rows({"first": len(first), "second": len(second)})
    _require_scores("first", first)
    _require_scores("second", second)
    _require_resamples(resamples)
    differences = first.detach().cpu().double() - second.detach().cpu().double()
    seen = float(differences.mean())
    coins = _random_integers(2, len(differences), resamples, seed=1)
    swapped = torch.cat([(differences * (chunk * 2 - 1).double()).mean(1) for chunk in coins])
    # Sums of the same numbers in another order differ in their last digits.
    slack = 1e-12 * float(differences.abs().mean())
    as_large = int((swapped.abs() >= abs(seen) - slack).sum())
    return PairedDifference(
        difference=seen,
        interval=_percentiles(_resampled_means(differences, resamples, seed=0)),
        p_value=(as_large + 1) / (resamples + 1),
    )


def _resampled_means(
    scores: Float[Tensor, " B"], resamples: int, seed: int
) -> Float64[Tensor, " R"]:
    wide = scores.detach().cpu().double()
    draws = _random_integers(len(wide), len(wide), resamples, seed)
    return torch.cat([wide[chunk].mean(1) for chunk in draws])


def _random_integers(
    end: int, num_rows: int, resamples: int, seed: int
) -> Iterator[Int64[Tensor, "R B"]]:
    """Draw a number below `end` for each row, `resamples` times, in chunks that fit into memory."""
    generator = torch.Generator().manual_seed(seed)
    at_once = max(1, MAX_NUMBERS_AT_ONCE // num_rows)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        yield torch.randint(end, (count, num_rows), generator=generator)


def _percentiles(resampled: Float64[Tensor, " R"]) -> Interval:
    ends = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    low, high = resampled.quantile(ends).tolist()
    return Interval(low=low, high=high, level=LEVEL)


def _require_scores(name: str, scores: Float[Tensor, " B"]) -> None:
    require_rows({name: len(scores)})
    require_finite(name, scores)


def _require_resamples(resamples: int) -> None:
    if resamples < 2:
        raise DataError(f"resamples is {resamples}, but at least 2 are needed; 1000 is customary")
