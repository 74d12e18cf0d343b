import pytest
import torch

from zhixing.errors import DataError
from zhixing.metrics.rows import (
    require_classes,
    require_finite,
    require_probabilities,
    require_rows,
)


def test_equal_counts_pass() -> None:
    require_rows({"predicted": 3, "labels": 3})


def test_unequal_counts_are_named() -> None:
    with pytest.raises(DataError, match="predicted has 3 rows and labels has 4 rows"):
        require_rows({"predicted": 3, "labels": 4})


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="labels has 0 rows, but a score needs at least 1"):
        require_rows({"labels": 0})


@pytest.mark.parametrize("wrong", [-1, 3])
def test_the_first_id_out_of_range_is_named(wrong: int) -> None:
    with pytest.raises(DataError, match=rf"labels\[1\] is {wrong}, .* 3 classes .* 0 to 2"):
        require_classes("labels", torch.tensor([0, wrong, 7]), 3)


def test_ids_at_both_ends_of_the_range_pass() -> None:
    require_classes("labels", torch.tensor([0, 2]), 3)


@pytest.mark.parametrize("wrong", ["nan", "inf", "-inf"])
def test_the_first_value_that_is_not_finite_is_named(wrong: str) -> None:
    values = torch.tensor([[0.0, 1.0], [2.0, float(wrong)]])
    with pytest.raises(DataError, match=rf"logits\[1, 1\] is {wrong}, .* finite"):
        require_finite("logits", values)


@pytest.mark.parametrize("wrong", [-0.5, 1.5])
def test_a_logit_is_no_probability(wrong: float) -> None:
    with pytest.raises(DataError, match=rf"probabilities\[2\] is {wrong}, .* 0 to 1"):
        require_probabilities("probabilities", torch.tensor([0.0, 1.0, wrong]))


def test_a_probability_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(DataError, match=r"probabilities\[0\] is nan"):
        require_probabilities("probabilities", torch.tensor([torch.nan]))
