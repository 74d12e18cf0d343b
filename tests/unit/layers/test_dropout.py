"""Dropout is a function of its name, and takes no more than its share."""

import math

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from zhixing.layers.dropout import Noise, drop

MANY = 400_000


def test_a_name_grows_by_its_places() -> None:
    noise = Noise((7, 3))
    assert noise.at("block", 2).at("self").names == (7, 3, "block", 2, "self")
    assert noise.names == (7, 3)


def test_the_seed_follows_from_the_whole_name() -> None:
    assert Noise((1, 2)).seed() == Noise((1,)).at(2).seed()
    names: list[tuple[int | str, ...]] = [(), (1,), ("1",), (1, 2), (2, 1), (12,), ("1", "2")]
    assert len({Noise(name).seed() for name in names}) == len(names)
    assert all(0 <= Noise(name).seed() < 2**63 for name in names)


def test_the_seed_is_the_same_on_every_day() -> None:
    # The first eight bytes of the SHA-256 of "(1, 'block')", without the last bit.
    assert Noise((1, "block")).seed() == 6383201975741210808


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_the_rate_is_kept(rate: float) -> None:
    dropped = drop(torch.ones(MANY), rate, Noise(("rate",)))
    share = (dropped == 0).double().mean().item()
    deviation = math.sqrt(rate * (1 - rate) / MANY)
    assert abs(share - rate) < 5 * deviation + 2**-16


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_the_mean_is_kept(rate: float) -> None:
    dropped = drop(torch.ones(MANY, dtype=torch.float64), rate, Noise(("mean",)))
    deviation = math.sqrt(rate / (1 - rate) / MANY)
    assert abs(dropped.mean().item() - 1.0) < 5 * deviation
    kept = dropped[dropped != 0].unique().tolist()
    assert kept == [pytest.approx(1 / (1 - rate), rel=2**-12)]


def test_one_name_gives_one_mask_and_another_another() -> None:
    x = torch.randn(40, 50)
    first, again = (drop(x, 0.5, Noise(("run", 3))) for _ in range(2))
    assert torch.equal(first, again)
    other = drop(x, 0.5, Noise(("run", 4)))
    agreement = ((first == 0) == (other == 0)).double().mean().item()
    assert 0.4 < agreement < 0.6


def test_neighbouring_values_are_dropped_independently() -> None:
    # Four decisions come from one 64-bit number; none may follow from the one beside it.
    mask = (drop(torch.ones(MANY), 0.5, Noise(("pairs",))) == 0).view(-1, 4).double()
    correlation = torch.corrcoef(mask.T) - torch.eye(4, dtype=torch.float64)
    assert correlation.abs().max() < 5 / math.sqrt(MANY / 4)


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = drop(torch.ones(99), 0.5, Noise(("quiet",)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(first, drop(torch.ones(99), 0.5, Noise(("quiet",))))


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (5, 7), (2, 3, 5)])
def test_every_shape_is_kept(shape: tuple[int, ...]) -> None:
    assert drop(torch.ones(shape), 0.5, Noise(("shape",))).shape == shape


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_every_dtype_is_kept_and_has_the_same_mask(dtype: torch.dtype) -> None:
    dropped = drop(torch.ones(64, dtype=dtype), 0.5, Noise(("dtype",)))
    assert dropped.dtype == dtype
    assert torch.equal(dropped == 0, drop(torch.ones(64), 0.5, Noise(("dtype",))) == 0)


def test_nothing_falls_without_a_rate() -> None:
    x = torch.ones(5)
    assert drop(x, 0.0, Noise(("here",))) is x


def test_a_rate_close_to_one_leaves_numbers() -> None:
    dropped = drop(torch.ones(MANY), 1 - 1e-9, Noise(("nearly all",)))
    assert dropped.isfinite().all()
    assert (dropped == 0).double().mean() > 0.999


def test_the_gradient_has_the_mask_of_the_value() -> None:
    x = torch.ones(1000, requires_grad=True)
    dropped = drop(x, 0.25, Noise(("gradient",)))
    (gradient,) = torch.autograd.grad(dropped.sum(), x)
    assert torch.equal(gradient, dropped.detach())


def test_computing_it_again_gives_the_same() -> None:
    x = torch.randn(1000, dtype=torch.float64, requires_grad=True)

    def twice(y: torch.Tensor) -> torch.Tensor:
        return drop(drop(y, 0.3, Noise(("one",))).exp(), 0.3, Noise(("two",)))

    recomputed = checkpoint(twice, x, use_reentrant=False, preserve_rng_state=False)
    gradients = [torch.autograd.grad(y.sum(), x)[0] for y in (recomputed, twice(x))]
    assert torch.equal(*gradients)
