import torch

from tests.unit.training.test_loop import all_weights, make_run
from zhixing.training.averaging import WeightMean, marks


def test_points_lie_evenly_over_the_end_with_the_last_step_among_them() -> None:
    assert marks(100, points=4, share=0.5) == {100, 88, 75, 62}
    assert marks(100, points=1, share=0.5) == {100}
    assert marks(100, points=0, share=0.5) == frozenset()


def test_a_short_run_has_fewer_points_than_asked_for() -> None:
    assert marks(3, points=10, share=1.0) == {1, 2, 3}


def test_the_mean_counts_every_point_alike_and_frozen_weights_are_left_out() -> None:
    model = make_run().model
    frozen = next(iter(model.parameters())).requires_grad_(False)
    before = frozen.detach().clone()
    mean = WeightMean()
    for value in (1.0, 2.0, 6.0):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(value)
        mean.add(model)
    with torch.no_grad():
        frozen.copy_(before)
    mean.put_into(model)
    assert torch.equal(frozen, before)
    rest = all_weights(model)[before.numel() :]
    assert torch.equal(rest, torch.full_like(rest, 3.0))


def test_a_mean_that_was_kept_goes_on_as_if_unbroken() -> None:
    model = make_run().model
    mean = WeightMean()
    mean.add(model)
    other = WeightMean()
    other.restore({name: value.clone() for name, value in mean.tensors.items()}, 1, model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    for one in (mean, other):
        one.add(model)
    assert other.count == 2
    assert all(torch.equal(mean.tensors[name], other.tensors[name]) for name in mean.tensors)
