import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy

from zhixing.errors import DataError
from zhixing.metrics.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    Bin,
    calibration_error,
    fit_multilabel_temperature,
    fit_temperature,
    reliability,
)


def random_logits(seed: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Draw labels from the softmax of logits, then make the logits too sure by a known factor."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(4000, 4, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
    return logits * temperature, labels


def test_rows_fall_into_bins_that_hold_their_upper_edge() -> None:
    probabilities = torch.tensor([0.0, 0.5, 0.75, 1.0])
    is_correct = torch.tensor([False, True, True, False])
    assert reliability(probabilities, is_correct, num_bins=2) == [
        Bin(0.0, 0.5, 2, 0.25, 0.5),
        Bin(0.5, 1.0, 2, 0.875, 0.5),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_decimal_lies_in_the_bin_that_ends_with_it(dtype: torch.dtype) -> None:
    edges = torch.tensor([0.1, 0.2, 0.3, 0.6, 0.7], dtype=dtype)
    bins = reliability(edges, torch.ones(5, dtype=torch.bool), num_bins=10)
    assert [i for i, each in enumerate(bins) if each.count] == [0, 1, 2, 5, 6]


def test_empty_bins_are_there_and_zero() -> None:
    bins = reliability(torch.tensor([0.95]), torch.tensor([True]))
    assert len(bins) == 15
    assert bins[0] == Bin(0.0, 1 / 15, 0, 0.0, 0.0)
    assert bins[-1].count == 1


def test_one_bin_holds_everything() -> None:
    (only,) = reliability(torch.tensor([0.25, 0.75]), torch.tensor([True, False]), num_bins=1)
    assert only == Bin(0.0, 1.0, 2, 0.5, 0.5)


def test_the_calibration_error_equals_its_equation() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(500, generator=generator, dtype=torch.float64)
    is_correct = torch.rand(500, generator=generator) < 0.5
    expected = 0.0
    for i in range(15):
        inside = (probabilities > i / 15) & (probabilities <= (i + 1) / 15)
        gap = is_correct[inside].double().mean() - probabilities[inside].mean()
        expected += float(inside.sum() / 500 * gap.abs())
    assert calibration_error(reliability(probabilities, is_correct)) == pytest.approx(expected)


def test_the_calibration_error_of_a_calibrated_bin_is_zero() -> None:
    assert calibration_error([Bin(0.0, 1.0, 4, 0.75, 0.75)]) == 0.0


def test_bins_without_rows_are_refused() -> None:
    with pytest.raises(DataError, match="1 bins hold 0 rows"):
        calibration_error([Bin(0.0, 1.0, 0, 0.0, 0.0)])


def test_fewer_than_one_bin_is_refused() -> None:
    with pytest.raises(DataError, match="num_bins is 0, but there must be at least 1"):
        reliability(torch.tensor([0.5]), torch.tensor([True]), num_bins=0)


def test_reliability_of_no_rows_is_refused() -> None:
    with pytest.raises(DataError, match="probabilities has 0 rows and is_correct has 0 rows"):
        reliability(torch.zeros(0), torch.zeros(0, dtype=torch.bool))


def test_reliability_of_logits_is_refused() -> None:
    with pytest.raises(DataError, match=r"probabilities\[0\] is 3"):
        reliability(torch.tensor([3.0]), torch.tensor([True]))


@pytest.mark.usefixtures("unchecked_shapes")
def test_unequal_rows_are_refused() -> None:
    with pytest.raises(DataError, match="probabilities has 1 rows and is_correct has 2 rows"):
        reliability(torch.tensor([0.5]), torch.tensor([True, True]))
    with pytest.raises(DataError, match="logits has 1 rows and labels has 2 rows"):
        fit_temperature(torch.ones(1, 1), torch.tensor([0, 0]))
    with pytest.raises(DataError, match="logits has 2 classes and labels has 3"):
        fit_multilabel_temperature(torch.ones(1, 2), torch.ones(1, 3, dtype=torch.bool))


def test_a_label_out_of_range_is_named() -> None:
    with pytest.raises(DataError, match=r"labels\[0\] is 2, but with 2 classes"):
        fit_temperature(torch.zeros(1, 2), torch.tensor([2]))


def test_a_logit_that_is_not_finite_is_named() -> None:
    with pytest.raises(DataError, match=r"logits\[0, 1\] is inf"):
        fit_temperature(torch.tensor([[0.0, torch.inf]]), torch.tensor([0]))
    with pytest.raises(DataError, match=r"logits\[0, 0\] is nan"):
        fit_multilabel_temperature(torch.tensor([[torch.nan]]), torch.tensor([[True]]))


@pytest.mark.parametrize("temperature", [0.2, 0.5, 1.0, 3.0, 10.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    logits, labels = random_logits(2, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_the_temperature_is_where_a_general_optimizer_finds_it(seed: int) -> None:
    logits, labels = random_logits(seed, 2.5)
    found = minimize_scalar(
        lambda t: float(cross_entropy(logits / t, labels)), bounds=(0.05, 20), method="bounded"
    )
    assert fit_temperature(logits, labels) == pytest.approx(found.x, rel=1e-4)


def test_scaling_the_logits_scales_the_temperature() -> None:
    logits, labels = random_logits(4, 1.0)
    assert fit_temperature(logits * 7, labels) == pytest.approx(7 * fit_temperature(logits, labels))


def test_dividing_by_the_temperature_mends_the_calibration() -> None:
    logits, labels = random_logits(5, 3.0)
    temperature = fit_temperature(logits, labels)

    def error(scores: Tensor) -> float:
        top = scores.softmax(1).max(1)
        return calibration_error(reliability(top.values, top.indices == labels))

    assert error(logits) > 0.1
    assert error(logits / temperature) < 0.03


def test_rows_that_are_all_right_ask_for_the_lowest_temperature() -> None:
    assert fit_temperature(torch.tensor([[1.0, 0.0]]), torch.tensor([0])) == MIN_TEMPERATURE


def test_rows_that_are_all_wrong_ask_for_the_highest_temperature() -> None:
    assert fit_temperature(torch.tensor([[1.0, 0.0]]), torch.tensor([1])) == MAX_TEMPERATURE


def test_flat_logits_fit_any_temperature_and_give_one() -> None:
    assert fit_temperature(torch.full((3, 7), 0.1), torch.tensor([0, 1, 2])) == 1.0


def test_far_logits_have_a_temperature() -> None:
    logits = torch.tensor([[1e4, 0.0]] * 4)
    assert fit_temperature(logits, torch.tensor([0, 0, 0, 1])) == MAX_TEMPERATURE


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_of_independent_labels_is_found(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3000, 3, generator=generator)
    labels = torch.rand(3000, 3, generator=generator) < logits.sigmoid()
    found = fit_multilabel_temperature(logits * temperature, labels)
    assert found == pytest.approx(temperature, rel=0.05)


def test_independent_labels_and_two_classes_agree() -> None:
    # A sigmoid of z is the softmax of z and 0.
    logits = torch.tensor([[2.0], [3.0], [-1.0], [1.0]])
    labels = torch.tensor([[True], [False], [False], [True]])
    pairs = torch.cat([torch.zeros(4, 1), logits], dim=1)
    expected = fit_temperature(pairs, labels.squeeze(1).long())
    assert fit_multilabel_temperature(logits, labels) == pytest.approx(expected)


def test_independent_labels_without_rows_are_refused() -> None:
    with pytest.raises(DataError, match="logits has 0 rows and labels has 0 rows"):
        fit_multilabel_temperature(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.bool))


def test_the_minimum_is_no_worse_than_leaving_the_logits_alone() -> None:
    logits, labels = random_logits(6, 1.3)
    divided = float(cross_entropy(logits / fit_temperature(logits, labels), labels))
    assert divided <= float(cross_entropy(logits, labels))
    assert math.isfinite(divided)
