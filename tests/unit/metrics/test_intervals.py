import math

import pytest
import torch
from scipy import stats

from zhixing.errors import DataError
from zhixing.metrics import intervals
from zhixing.metrics.accuracy import confusion_matrix, macro_f1
from zhixing.metrics.intervals import (
    Interval,
    bootstrap,
    bootstrap_interval,
    paired_difference,
)


def scores_of(seed: int, num_rows: int = 400, share: float = 0.8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(num_rows, generator=generator) < share).double()


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    scores = scores_of(0)
    error = float(scores.std()) / math.sqrt(400)
    found = bootstrap_interval(scores, resamples=4000)
    assert found.low == pytest.approx(float(scores.mean()) - 1.96 * error, abs=0.005)
    assert found.high == pytest.approx(float(scores.mean()) + 1.96 * error, abs=0.005)
    assert found.level == 0.95


def test_the_interval_is_near_that_of_scipy() -> None:
    scores = scores_of(1)
    expected = stats.bootstrap(
        (scores.numpy(),), lambda x, axis: x.mean(axis=axis), method="percentile", rng=0
    ).confidence_interval
    found = bootstrap_interval(scores, resamples=4000)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.005)


def test_equal_scores_have_no_width() -> None:
    assert bootstrap_interval(torch.ones(7)) == Interval(1.0, 1.0, 0.95)


def test_one_row_has_no_width() -> None:
    assert bootstrap_interval(torch.tensor([0.25])) == Interval(0.25, 0.25, 0.95)


def test_the_same_seed_gives_the_same_interval() -> None:
    scores = torch.rand(50, generator=torch.Generator().manual_seed(0))
    assert bootstrap_interval(scores, seed=3) == bootstrap_interval(scores, seed=3)
    assert bootstrap_interval(scores, seed=3) != bootstrap_interval(scores, seed=4)


def test_the_global_random_numbers_are_left_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    bootstrap_interval(torch.rand(1).expand(5))
    torch.manual_seed(1)
    paired_difference(torch.ones(3), torch.zeros(3))
    assert torch.equal(torch.rand(1), expected)


def test_drawing_in_small_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = torch.rand(30, generator=torch.Generator().manual_seed(0))
    whole = bootstrap_interval(scores, resamples=101)
    monkeypatch.setattr(intervals, "MAX_NUMBERS_AT_ONCE", 200)
    assert bootstrap_interval(scores, resamples=101) == whole


def test_more_rows_than_fit_a_chunk_are_drawn_one_resample_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intervals, "MAX_NUMBERS_AT_ONCE", 4)
    assert bootstrap_interval(torch.ones(9), resamples=3) == Interval(1.0, 1.0, 0.95)


def test_an_interval_of_any_score_equals_that_of_the_mean() -> None:
    scores = scores_of(2, num_rows=60)
    means = bootstrap(lambda rows: float(scores[rows].mean()), 60, resamples=300)
    assert means == bootstrap_interval(scores, resamples=300)


def test_a_macro_f1_has_an_interval_around_it() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (200,), generator=generator)
    noise = torch.randint(3, (200,), generator=generator)
    predicted = torch.where(torch.rand(200, generator=generator) < 0.7, labels, noise)

    def statistic(rows: torch.Tensor) -> float:
        return macro_f1(confusion_matrix(predicted[rows], labels[rows], 3))

    found = bootstrap(statistic, 200, resamples=200)
    assert found.low < macro_f1(confusion_matrix(predicted, labels, 3)) < found.high
    assert 0.05 < found.high - found.low < 0.2


def test_two_equal_systems_do_not_differ() -> None:
    scores = scores_of(0)
    found = paired_difference(scores, scores)
    assert found.difference == 0
    assert found.interval == Interval(0.0, 0.0, 0.95)
    assert found.p_value == 1.0


def test_a_clear_difference_has_a_small_p_value() -> None:
    found = paired_difference(torch.ones(50), torch.zeros(50), resamples=999)
    assert found.difference == 1.0
    assert found.p_value == pytest.approx(1 / 1000)


def test_the_p_value_is_that_of_scipys_permutation_test() -> None:
    first, second = scores_of(0, 60, 0.85), scores_of(1, 60, 0.7)
    expected = stats.permutation_test(
        (first.numpy(), second.numpy()),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=0,
    ).pvalue
    found = paired_difference(first, second, resamples=20_000)
    assert found.p_value == pytest.approx(expected, abs=0.01)


def test_a_difference_between_few_rows_is_counted_exactly() -> None:
    # Of the 4 ways to swap 2 rows, 2 give a difference as large as the one seen.
    found = paired_difference(torch.tensor([0.3, 0.1]), torch.tensor([0.1, 0.0]), resamples=20_000)
    assert found.p_value == pytest.approx(0.5, abs=0.02)


def test_turning_the_systems_round_turns_the_difference_round() -> None:
    first, second = scores_of(0), scores_of(1)
    one, other = paired_difference(first, second), paired_difference(second, first)
    assert one.difference == -other.difference
    assert one.p_value == other.p_value
    assert (one.interval.low, one.interval.high) == pytest.approx(
        (-other.interval.high, -other.interval.low)
    )


def test_rows_hard_for_both_cancel_out() -> None:
    hard = torch.rand(100, generator=torch.Generator().manual_seed(0)).double()
    found = paired_difference(hard + 0.01, hard)
    assert found.interval.low == pytest.approx(0.01)
    assert found.p_value < 0.001


def test_p_values_of_equal_systems_are_evenly_spread() -> None:
    found = [
        paired_difference(scores_of(2 * i, 100), scores_of(2 * i + 1, 100), resamples=200).p_value
        for i in range(200)
    ]
    assert 0.01 <= sum(p <= 0.05 for p in found) / 200 <= 0.1


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="scores_per_row has 0 rows"):
        bootstrap_interval(torch.zeros(0))
    with pytest.raises(DataError, match="the table has 0 rows"):
        bootstrap(lambda rows: 0.0, 0)
    with pytest.raises(DataError, match="first has 0 rows and second has 0 rows"):
        paired_difference(torch.zeros(0), torch.zeros(0))


@pytest.mark.usefixtures("unchecked_shapes")
def test_unequal_rows_are_refused() -> None:
    with pytest.raises(DataError, match="first has 2 rows and second has 3 rows"):
        paired_difference(torch.zeros(2), torch.zeros(3))


def test_a_score_that_is_not_finite_is_named() -> None:
    with pytest.raises(DataError, match=r"scores_per_row\[1\] is nan"):
        bootstrap_interval(torch.tensor([0.0, torch.nan]))
    with pytest.raises(DataError, match=r"second\[0\] is inf"):
        paired_difference(torch.zeros(1), torch.tensor([torch.inf]))
    with pytest.raises(DataError, match=r"resampled score \[0\] is nan"):
        bootstrap(lambda rows: math.nan, 3, resamples=5)


def test_too_few_resamples_are_refused() -> None:
    with pytest.raises(DataError, match="resamples is 1, but at least 2"):
        bootstrap_interval(torch.ones(3), resamples=1)
