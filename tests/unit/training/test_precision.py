import math

import torch

from zhixing.training.precision import INITIAL_SCALE, SCALE_GROWTH_STEPS, LossScale


def optimizer_with(gradient: float) -> torch.optim.Optimizer:
    """Make an optimizer of one parameter that has this gradient, and one that has none."""
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    parameters[0].grad = torch.tensor([gradient])
    return torch.optim.SGD(parameters, lr=1.0)


def test_without_float16_the_scale_is_one_and_every_step_is_taken() -> None:
    scale = LossScale(is_needed=False)
    scale.update(math.inf)
    assert scale.value == 1.0
    assert scale.accepts(math.nan) and scale.accepts(1.0)


def test_an_overflow_leaves_the_step_out_and_halves_the_scale() -> None:
    scale = LossScale(is_needed=True)
    assert not scale.accepts(math.inf)
    scale.growth = 7
    scale.update(math.inf)
    assert (scale.value, scale.growth) == (INITIAL_SCALE / 2, 0)


def test_after_enough_good_steps_the_scale_is_doubled() -> None:
    scale = LossScale(is_needed=True)
    for _ in range(SCALE_GROWTH_STEPS - 1):
        scale.update(1.0)
    assert scale.value == INITIAL_SCALE
    scale.update(1.0)
    assert (scale.value, scale.growth) == (2 * INITIAL_SCALE, 0)


def test_a_gradient_that_the_smallest_scale_does_not_mend_is_let_through_to_be_judged() -> None:
    scale = LossScale(is_needed=True)
    for _ in range(16):
        assert not scale.accepts(math.nan)
        scale.update(math.nan)
    assert scale.value == 1.0
    scale.update(math.nan)
    assert scale.value == 1.0
    assert scale.accepts(math.nan)


def test_gradients_are_divided_by_the_scale() -> None:
    scale = LossScale(is_needed=True)
    optimizer = optimizer_with(3 * INITIAL_SCALE)
    scale.unscale(optimizer)
    assert optimizer.param_groups[0]["params"][0].grad.item() == 3.0


def test_a_scale_of_one_divides_nothing() -> None:
    optimizer = optimizer_with(3.0)
    LossScale(is_needed=False).unscale(optimizer)
    assert optimizer.param_groups[0]["params"][0].grad.item() == 3.0


def test_a_snapshot_brings_the_scale_back() -> None:
    scale = LossScale(is_needed=True)
    scale.restore(128.0, 5)
    assert (scale.value, scale.growth) == (128.0, 5)
    plain = LossScale(is_needed=False)
    plain.restore(128.0, 5)
    assert (plain.value, plain.growth) == (1.0, 0)
