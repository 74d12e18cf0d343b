import math
import random

import pytest

from zhixing.pages.axes import (
    Axis,
    is_drawable,
    linear_ticks,
    padded_range,
    points_worth_drawing,
    rounded_range,
    tick_labels,
    tick_step,
    value_range,
)


def test_a_value_lies_between_the_ends() -> None:
    assert Axis(0.0, 10.0, 100.0, 200.0).pixel(5) == 150
    assert Axis(0.0, 10.0, 200.0, 100.0).pixel(10) == 100


def test_ticks_lie_where_their_values_lie() -> None:
    assert Axis(0.0, 2.0, 0.0, 20.0).ticks()[::2] == [(0, "0"), (10, "1.0"), (20, "2.0")]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e301])
def test_what_is_not_finite_has_no_place(value: float) -> None:
    assert not is_drawable(value)


def test_a_range_leaves_out_what_has_no_place() -> None:
    assert value_range([3, math.nan, 1, math.inf]) == (1, 3)


@pytest.mark.parametrize("values", [[], [math.nan], [5.0], [5.0, 5.0], [1e-12], [1e300]])
def test_a_range_is_never_empty(values: list[float]) -> None:
    low, high = value_range(values)
    assert low < high
    assert Axis(low, high, 0.0, 100.0).ticks()


def test_a_single_value_lies_in_the_middle() -> None:
    assert value_range([5.0]) == (4.5, 5.5)
    assert value_range([0.0]) == (-0.5, 0.5)


def test_a_range_is_widened_but_not_past_zero() -> None:
    assert padded_range(0.0, 10.0) == (0, pytest.approx(10.4))
    assert padded_range(-10.0, 0.0) == (pytest.approx(-10.4), 0)
    assert padded_range(5.0, 10.0) == pytest.approx((4.8, 10.2))


def test_a_range_is_widened_to_its_ticks() -> None:
    assert rounded_range(-0.3, 4.2) == (-1, 5)
    assert rounded_range(0.0, 5.0) == (0, 5)


@pytest.mark.parametrize(("high", "step"), [(1, 0.2), (3.7, 1), (37, 10), (1e-5, 2e-6), (7e9, 2e9)])
def test_steps_are_round(high: float, step: float) -> None:
    assert tick_step(0.0, high) == pytest.approx(step)


def test_ticks_stay_within_their_range() -> None:
    generator = random.Random(0)
    for _ in range(300):
        low = generator.uniform(-1, 1) * 10 ** generator.uniform(-6, 9)
        high = low + 10 ** generator.uniform(-6, 9)
        ticks = linear_ticks(low, high)
        slack = 1e-6 * (high - low) + 1e-9 * abs(low)
        assert all(low - slack <= tick <= high + slack for tick in ticks)
        assert 2 <= len(ticks) <= 9


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0, 2000, 4000], ["0", "2000", "4000"]),
        ([0, 5000, 10000], ["0", "5k", "10k"]),
        ([0, 2500, 12500], ["0", "2.5k", "12.5k"]),
        ([1e6, 2.5e6], ["1.0M", "2.5M"]),
        ([2e9], ["2B"]),
        ([-0.5, 0, 0.5], ["−0.5", "0", "0.5"]),
        ([0, 0.00015, 0.0003], ["0", "1.5e-4", "3e-4"]),
        ([1e20], ["1e20"]),
        ([], []),
    ],
)
def test_labels_of_one_axis_are_alike(values: list[float], labels: list[str]) -> None:
    assert tick_labels(values) == labels


def test_few_points_are_all_drawn() -> None:
    assert points_worth_drawing([1, 2, 3], [1, math.nan, 3]) == [0, 1, 2]


def test_many_points_are_thinned_but_every_extreme_stays() -> None:
    generator = random.Random(0)
    x = list(range(10_000))
    y = [generator.gauss(0, 1) for _ in x]
    y[3456], y[7890] = 99.0, -99.0
    kept = points_worth_drawing(x, y)
    assert len(kept) <= 1250
    assert kept == sorted(set(kept))
    assert {0, 3456, 7890, 9_999} <= set(kept)


def test_extremes_of_x_stay_where_x_is_in_no_order() -> None:
    generator = random.Random(0)
    x = [generator.random() for _ in range(5_000)]
    x[77], x[4_000] = -1.0, 2.0
    assert {77, 4_000} <= set(points_worth_drawing(x, [0.0] * 5_000))


def test_gaps_stay_where_points_are_thinned() -> None:
    y = [0.0] * 10_000
    y[5_000] = math.nan
    kept = points_worth_drawing(list(range(10_000)), y)
    assert 5_000 in kept
    assert len(kept) <= 1250


def test_points_that_all_have_no_place_leave_only_gaps() -> None:
    kept = points_worth_drawing(list(range(5_000)), [math.nan] * 5_000)
    assert 0 < len(kept) <= 1200
