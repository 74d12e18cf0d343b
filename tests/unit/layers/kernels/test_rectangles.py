"""Rectangles hold every sequence once, and waste little."""

import pytest
import torch

from zhixing.layers.kernels.fused_attention import (
    SPARE_SCORES,
    Group,
    allowed_scores,
    cells_of_rows,
    filled_columns,
    plan_groups,
    rectangle,
    spare_columns,
)


def test_equal_sequences_in_a_row_become_one_view() -> None:
    (group,) = plan_groups((3, 3), (4, 4), same_offset=False)
    assert group == Group((0, 1), length=3, attended=4, is_even=True, start=0, attended_start=0)
    assert group.is_solid


def test_equal_sequences_with_another_between_are_copied() -> None:
    groups = plan_groups((50, 90, 50), (50, 90, 50), same_offset=False)
    assert [group.sequences for group in groups] == [(1,), (0, 2)]
    assert [group.is_solid for group in groups] == [True, False]
    assert groups[0].start == 50


def test_nearly_equal_sequences_share_a_rectangle_as_large_as_the_longest() -> None:
    (group,) = plan_groups((4, 6, 5), (4, 6, 5), same_offset=False)
    assert group == Group((1, 2, 0), 6, 6, is_even=False, start=None, attended_start=None)
    assert not group.is_solid


def test_a_rectangle_never_spares_more_scores_than_a_call_is_worth() -> None:
    side = 64
    inside = (side * side - SPARE_SCORES) // side
    fitting = plan_groups((side, side), (side, inside), same_offset=False)
    beyond = plan_groups((side, side), (side, inside - 1), same_offset=False)
    assert [len(groups) for groups in (fitting, beyond)] == [1, 2]


def test_without_spare_scores_only_equal_sequences_share_a_rectangle() -> None:
    lengths = (4, 4, 5, 5, 5, 7)
    groups = plan_groups(lengths, lengths, same_offset=False, spare_scores=0)
    assert [group.sequences for group in groups] == [(0, 1), (2, 3, 4), (5,)]
    assert [group.start for group in groups] == [0, 8, 23]


def test_solid_rectangles_come_in_the_order_of_the_batch() -> None:
    lengths = (3, 60, 60, 5)
    groups = plan_groups(lengths, lengths, same_offset=False, spare_scores=0)
    assert [group.sequences for group in groups] == [(0,), (1, 2), (3,)]


def test_a_sequence_that_attends_further_than_the_first_gets_its_own_rectangle() -> None:
    groups = plan_groups((6, 5), (6, 7), same_offset=False)
    assert [(group.length, group.attended) for group in groups] == [(6, 6), (5, 7)]


def test_a_bias_joins_only_sequences_of_one_offset() -> None:
    lengths, attended = (6, 5, 4), (6, 4, 4)
    free = plan_groups(lengths, attended, same_offset=False)
    bound = plan_groups(lengths, attended, same_offset=True)
    assert [group.sequences for group in free] == [(0, 1, 2)]
    for group in bound:
        assert len({lengths[i] - attended[i] for i in group.sequences}) == 1
    assert sorted(i for group in bound for i in group.sequences) == [0, 1, 2]


def test_every_row_finds_its_cell() -> None:
    lengths = (2, 40, 3, 70)
    rows = torch.arange(sum(lengths), dtype=torch.float64).view(-1, 1, 1)
    groups = plan_groups(lengths, lengths, same_offset=False)
    assert 1 < len(groups) < len(lengths) + 1
    cells = torch.cat(
        [
            rectangle(rows, lengths, g.sequences, g.length, g.start).transpose(1, 2).flatten(0, 1)
            for g in groups
        ]
    )
    assert torch.equal(cells[cells_of_rows(lengths, groups)], rows)


def test_spare_cells_repeat_the_last_row_of_their_sequence() -> None:
    rows = torch.arange(5.0).view(-1, 1, 1)
    laid = rectangle(rows, (2, 3), (1, 0), 3, None)
    assert laid[:, 0, :, 0].tolist() == [[2.0, 3.0, 4.0], [0.0, 1.0, 1.0]]


def test_a_solid_rectangle_is_a_view() -> None:
    rows = torch.arange(6.0).view(-1, 1, 1)
    laid = rectangle(rows, (1, 2, 2, 1), (1, 2), 2, 1)
    assert laid[:, 0, :, 0].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert laid.untyped_storage().data_ptr() == rows.untyped_storage().data_ptr()


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_scores_that_count_are_those_of_the_own_sequence(is_causal: bool) -> None:
    lengths, attended = (2, 1), (3, 2)
    group = Group((0, 1), length=2, attended=3, is_even=False, start=None, attended_start=None)
    allowed = allowed_scores(group, lengths, attended, is_causal)
    first = [[1, 1, 0], [1, 1, 1]] if is_causal else [[1, 1, 1], [1, 1, 1]]
    assert allowed[0, 0].int().tolist() == first
    # The second own row of the second sequence is spare; it sees something, or it would be NaN.
    assert allowed[1, 0].int().tolist() == [[1, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize(
    ("dtype", "attended", "width"),
    [
        (torch.bfloat16, 96, 96),
        (torch.bfloat16, 97, 112),
        (torch.float32, 97, 97),
        (torch.float32, 102, 112),
        (torch.bfloat16, 7, 7),
        (torch.float64, 102, 102),
    ],
)
def test_columns_are_filled_up_where_the_rest_of_a_row_would_cost_more(
    dtype: torch.dtype, attended: int, width: int
) -> None:
    group = Group((0, 1), length=16, attended=attended, is_even=True, start=0, attended_start=0)
    assert filled_columns(group, torch.zeros(32, 1, 4, dtype=dtype)) == width


def test_a_few_rows_are_not_worth_filling_up() -> None:
    group = Group((0,), length=31, attended=97, is_even=True, start=0, attended_start=0)
    assert filled_columns(group, torch.zeros(31, 1, 4, dtype=torch.bfloat16)) == 97


def test_a_rectangle_that_is_masked_anyhow_is_not_filled_up() -> None:
    group = Group((0, 1), length=16, attended=97, is_even=False, start=None, attended_start=None)
    assert filled_columns(group, torch.zeros(32, 1, 4, dtype=torch.bfloat16)) == 97


def test_a_filled_column_has_no_weight() -> None:
    weights = (torch.ones(1, 1, 2, 5) + spare_columns(3, 5, torch.float32)).softmax(-1)
    assert weights[0, 0].tolist() == [pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0, 0.0])] * 2
