"""A ragged batch holds its sequences end to end, and nothing else."""

import pytest
import torch

from zhixing.errors import DataError
from zhixing.layers.ragged import (
    Ragged,
    first_positions,
    last_positions,
    position_numbers,
    sequence_means,
    starts,
)

CPU = torch.device("cpu")


def test_sequences_come_back_as_they_went_in() -> None:
    parts = [torch.tensor([7, 8]), torch.tensor([9]), torch.tensor([1, 2, 3])]
    ragged = Ragged.of(parts)
    assert ragged.lengths == (2, 1, 3)
    assert ragged.values.tolist() == [7, 8, 9, 1, 2, 3]
    for part, found in zip(parts, ragged.split(), strict=True):
        assert torch.equal(part, found)


def test_a_generator_of_sequences_is_read_once() -> None:
    assert Ragged.of(torch.zeros(n, 2) for n in (1, 4)).lengths == (1, 4)


def test_a_part_is_a_view() -> None:
    ragged = Ragged.of([torch.tensor([7, 8]), torch.tensor([9])])
    ragged.split()[1][0] = 5
    assert ragged.values.tolist() == [7, 8, 5]


def test_selected_sequences_stand_in_the_order_asked_for() -> None:
    ragged = Ragged(torch.tensor([7, 8, 9, 1, 2]), (2, 1, 2))
    chosen = ragged.select([2, 0, 2])
    assert chosen.lengths == (2, 2, 2)
    assert chosen.values.tolist() == [1, 2, 7, 8, 1, 2]


def test_other_values_stand_at_the_same_positions() -> None:
    ragged = Ragged(torch.tensor([7, 8, 9]), (2, 1)).with_values(torch.ones(3, 4))
    assert ragged.lengths == (2, 1)
    assert ragged.values.shape == (3, 4)


def test_a_batch_goes_to_a_device_with_its_lengths() -> None:
    moved = Ragged(torch.tensor([7, 8, 9]), (2, 1)).to("meta")
    assert moved.values.device.type == "meta"
    assert moved.lengths == (2, 1)


@pytest.mark.parametrize("lengths", [(2, 2), (1, 1), ()])
def test_lengths_that_do_not_sum_to_the_positions_are_refused(lengths: tuple[int, ...]) -> None:
    message = f"lengths sum to {sum(lengths)}, but there are 3 positions; every position belongs"
    with pytest.raises(DataError, match=message):
        Ragged(torch.tensor([7, 8, 9]), lengths)


def test_other_values_of_another_number_are_refused() -> None:
    with pytest.raises(DataError, match="lengths sum to 3, but there are 2 positions"):
        Ragged(torch.tensor([7, 8, 9]), (2, 1)).with_values(torch.ones(2))


def test_each_sequence_starts_where_the_one_before_ends() -> None:
    assert starts((2, 1, 4)) == (0, 2, 3)
    assert starts(()) == ()


def test_positions_count_from_zero_in_every_sequence() -> None:
    assert position_numbers((2, 3, 1), CPU).tolist() == [0, 1, 0, 1, 2, 0]


def test_position_numbers_made_in_prediction_serve_training() -> None:
    with torch.inference_mode():
        position_numbers((31, 17), CPU)
    weight = torch.ones(31, 2, requires_grad=True)
    weight[position_numbers((31, 17), CPU)].sum().backward()
    assert weight.grad is not None
    assert weight.grad[:, 0].tolist() == [2.0] * 17 + [1.0] * 14


def test_first_positions_are_taken_by_sequence() -> None:
    x = torch.arange(10.0).view(5, 2)
    assert first_positions(x, (2, 3)).tolist() == [[0.0, 1.0], [4.0, 5.0]]


def test_means_are_of_the_own_sequence_alone() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0], [100.0, 200.0]])
    assert sequence_means(x, (2, 1)).tolist() == [[2.0, 4.0], [100.0, 200.0]]


def test_the_mean_gives_every_position_an_equal_gradient() -> None:
    x = torch.zeros(5, 1, requires_grad=True)
    sequence_means(x, (4, 1)).sum().backward()
    assert x.grad is not None
    assert x.grad[:, 0].tolist() == [0.25, 0.25, 0.25, 0.25, 1.0]


def test_the_last_position_of_every_sequence_is_taken() -> None:
    assert last_positions(torch.arange(6), (1, 3, 2)).tolist() == [0, 3, 5]
