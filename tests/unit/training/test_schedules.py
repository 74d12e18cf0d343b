import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhixing.training.config import Schedule
from zhixing.training.schedules import rate_factor


def factors(schedule: Schedule, *, total: int, warmup: int) -> list[float]:
    """Give the factor of every step."""
    return [
        rate_factor(step, total=total, warmup=warmup, schedule=schedule) for step in range(total)
    ]


def test_a_line_rises_over_the_warm_up_and_falls_to_zero() -> None:
    assert factors("linear", total=8, warmup=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25]
    assert rate_factor(8, total=8, warmup=4, schedule="linear") == 0.0


def test_a_cosine_falls_as_half_a_period() -> None:
    found = factors("cosine", total=4, warmup=0)
    assert found == pytest.approx([1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)])


def test_a_constant_rate_stays_after_its_warm_up() -> None:
    assert factors("constant", total=4, warmup=2) == [0.5, 1.0, 1.0, 1.0]


def test_a_warm_up_may_be_the_whole_run() -> None:
    assert factors("linear", total=4, warmup=4) == [0.25, 0.5, 0.75, 1.0]


@given(st.sampled_from(["linear", "cosine", "constant"]), st.integers(1, 60), st.floats(0.0, 1.0))
def test_a_factor_is_above_zero_and_at_most_one_and_never_rises_after_the_warm_up(
    schedule: Schedule, total: int, share: float
) -> None:
    warmup = math.ceil(share * total)
    found = factors(schedule, total=total, warmup=warmup)
    assert all(0.0 < factor <= 1.0 for factor in found)
    assert found[:warmup] == sorted(found[:warmup])
    assert found[warmup:] == sorted(found[warmup:], reverse=True)
