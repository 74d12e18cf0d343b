"""Each way to tell a position keeps what its paper promises."""

import cmath
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.t5.modeling_t5 import T5Attention

from zhixing.errors import ConfigError
from zhixing.layers.positions import (
    Convolutional,
    LinearBias,
    RelativeBias,
    Rotary,
    RotaryScaling,
    Sinusoidal,
    sinusoids,
)

PLACES = torch.arange(120)
SIZE = 8


def _rotation_error(vectors: Tensor, shift: int) -> float:
    """Tell how far the best fixed matrix misses the vectors `shift` positions on."""
    before, after = vectors[:-shift], vectors[shift:]
    turn = torch.linalg.lstsq(before, after, driver="gelsd").solution
    return float((before @ turn - after).abs().max())


def _product_spread(vectors: Tensor, shift: int) -> float:
    products = (vectors[:-shift] * vectors[shift:]).sum(-1)
    return float(products.max() - products.min())


def test_sinusoids_are_the_formula_of_the_paper() -> None:
    found = sinusoids(torch.tensor([0, 1, 7, 5000]), SIZE)
    for row, position in enumerate((0, 1, 7, 5000)):
        for i in range(SIZE // 2):
            angle = position / 10000 ** (2 * i / SIZE)
            assert found[row, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-10)
            assert found[row, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-10)


def test_an_odd_size_ends_in_a_sine() -> None:
    found = sinusoids(PLACES, 5)
    assert found.shape == (120, 5)
    torch.testing.assert_close(found[:, 4], (PLACES.double() / 10000 ** (4 / 5)).sin())


@pytest.mark.parametrize("shift", [1, 5, 40])
def test_a_shift_is_a_fixed_rotation(shift: int) -> None:
    vectors = sinusoids(PLACES, SIZE)
    before, after = vectors[:-shift], vectors[shift:]
    for i in range(SIZE // 2):
        angle = shift / 10000 ** (2 * i / SIZE)
        turn = torch.tensor(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
            dtype=torch.float64,
        )
        pair = slice(2 * i, 2 * i + 2)
        torch.testing.assert_close(before[:, pair] @ turn, after[:, pair])
    assert _rotation_error(vectors, shift) < 1e-8


@pytest.mark.parametrize("shift", [1, 5, 40])
def test_the_misprint_with_the_sine_alone_loses_the_rotation(shift: int) -> None:
    exponents = torch.arange(SIZE, dtype=torch.float64) / SIZE
    misprinted = (PLACES.double()[:, None] / 10000**exponents).sin()
    assert _rotation_error(misprinted, shift) > 0.1


@pytest.mark.parametrize("shift", [1, 5, 40])
def test_the_misprint_with_the_exponent_outside_loses_the_rotation(shift: int) -> None:
    exponents = torch.arange(0, SIZE, 2, dtype=torch.float64) / SIZE
    angles = (PLACES.double()[:, None] / 10000) ** exponents
    misprinted = torch.stack((angles.sin(), angles.cos()), -1).flatten(-2)
    # A rotation keeps products: those of vectors `shift` apart would all have to be equal.
    assert _product_spread(sinusoids(PLACES, SIZE), shift) < 1e-10
    assert _product_spread(misprinted, shift) > 1e-3


def test_sinusoids_know_no_longest_text() -> None:
    far = Sinusoidal(SIZE)(torch.tensor([1_000_000, 1_000_001]))
    assert far.isfinite().all()
    assert (far[0] - far[1]).abs().max() > 0.1
    assert not list(Sinusoidal(SIZE).state_dict())


def _convolution(size: int = 3, *, width: int = 5) -> Convolutional:
    convolution = Convolutional(size, width=width).double()
    torch.nn.init.normal_(convolution.weight, generator=torch.Generator().manual_seed(1))
    torch.nn.init.normal_(convolution.bias, generator=torch.Generator().manual_seed(2))
    return convolution


def _random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_a_convolution_by_hand() -> None:
    convolution = _convolution(1, width=3)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
        convolution.bias.fill_(0.5)
    x = torch.tensor([[1.0], [2.0], [3.0], [7.0]], dtype=torch.float64)
    assert convolution(x, (3, 1))[:, 0].tolist() == [210.5, 321.5, 32.5, 70.5]


@pytest.mark.parametrize("width", [1, 3, 7])
@pytest.mark.parametrize("lengths", [(9,), (4, 1, 2, 8), (1, 1, 1)])
def test_the_fast_convolution_equals_the_plain_one(lengths: tuple[int, ...], width: int) -> None:
    convolution = _convolution(width=width)
    x = _random(sum(lengths), 3)
    difference = convolution(x, lengths) - convolution.plain(x, lengths)
    assert difference.abs().max() < 1e-12


def _reach(function: Callable[[Tensor], Tensor], rows: int, row: int) -> list[int]:
    x = _random(rows, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(function(x)[row].sum(), x)
    return [i for i in range(rows) if gradient[i].abs().max() > 0]


@pytest.mark.parametrize(("row", "expected"), [(2, [0, 1, 2, 3]), (4, [4, 5]), (3, [1, 2, 3])])
def test_a_convolution_never_crosses_into_a_neighbour(row: int, expected: list[int]) -> None:
    convolution = _convolution()
    assert _reach(lambda x: convolution(x, (4, 2)), 6, row) == expected
    assert _reach(lambda x: convolution.plain(x, (4, 2)), 6, row) == expected


def test_a_convolution_works_in_the_dtype_of_its_input() -> None:
    convolution = _convolution()
    assert convolution(_random(4, 3).float(), (3, 1)).dtype == torch.float32


@pytest.mark.parametrize(("width", "fitting"), [(0, 1), (4, 5), (-3, 1), (-2, 1)])
def test_a_width_without_a_middle_is_refused(width: int, fitting: int) -> None:
    message = f"width is {width}; it has to be odd and at least 1, such as {fitting}$"
    with pytest.raises(ConfigError, match=message):
        Convolutional(3, width=width)


def test_a_rotary_position_turns_each_pair_by_its_angle() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64).view(1, 1, 4)
    turned = Rotary(4, base=100.0)(x, torch.tensor([3]))[0, 0]
    for i, (left, right) in enumerate([(1.0, 3.0), (2.0, 4.0)]):
        angle = 3 / 100 ** (2 * i / 4)
        cos, sin = math.cos(angle), math.sin(angle)
        assert turned[i].item() == pytest.approx(left * cos - right * sin)
        assert turned[i + 2].item() == pytest.approx(right * cos + left * sin)


def _by_complex_numbers(x: Tensor, positions: list[int], frequencies: list[float]) -> Tensor:
    """The textbook: a pair is a complex number, and a position multiplies it by e^(i p f)."""
    half = x.size(-1) // 2
    turned = torch.empty_like(x)
    for row, position in enumerate(positions):
        for i, frequency in enumerate(frequencies):
            factor = cmath.exp(1j * position * frequency)
            for head in range(x.size(1)):
                left, right = x[row, head, i].item(), x[row, head, i + half].item()
                pair = complex(left, right) * factor
                turned[row, head, i], turned[row, head, i + half] = pair.real, pair.imag
    return turned


@pytest.mark.parametrize("base", [10000.0, 500000.0, 7.0])
@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_base_and_linear_scaling_are_those_of_the_equations(base: float, factor: float) -> None:
    x, positions = _random(4, 2, 8), [0, 1, 5, 1234]
    scaling = RotaryScaling("linear", factor=factor)
    turned = Rotary(8, base=base, scaling=scaling)(x, torch.tensor(positions))
    frequencies = [base ** (-2 * i / 8) / factor for i in range(4)]
    assert (turned - _by_complex_numbers(x, positions, frequencies)).abs().max() < 1e-10
    if factor == 1.0:
        assert torch.equal(turned, Rotary(8, base=base)(x, torch.tensor(positions)))


def test_linear_scaling_puts_twice_as_many_positions_into_the_same_angles() -> None:
    x = _random(3, 1, 8)
    scaled = Rotary(8, scaling=RotaryScaling("linear", factor=2.0))
    there, here = torch.tensor([0, 2, 200]), torch.tensor([0, 1, 100])
    assert (scaled(x, there) - Rotary(8)(x, here)).abs().max() < 1e-10


def test_llama3_scaling_keeps_short_waves_and_slows_long_ones() -> None:
    # Waves of 50, 200 and 3200 positions: shorter than 400 / 4, between, longer than 400 / 1.
    frequencies = torch.tensor([2 * math.pi / wave for wave in (50, 200, 3200)]).double()
    scaling = RotaryScaling("llama3", factor=8.0, low_factor=1.0, trained_positions=400)
    kept, between, slowed = (scaling.apply(frequencies) / frequencies).tolist()
    assert (kept, slowed) == (1.0, pytest.approx(1 / 8))
    share = (400 / 200 - 1) / (4 - 1)
    assert between == pytest.approx((1 - share) / 8 + share)


@pytest.mark.parametrize("kind", ["linear", "llama3"])
def test_scaled_frequencies_are_the_references(kind: str) -> None:
    values = {
        "rope_type": kind,
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    config = LlamaConfig(hidden_size=128, num_attention_heads=1, rope_parameters=values)
    expected, _ = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
    frequencies = 500000.0 ** (-torch.arange(0, 128, 2).double() / 128)
    scaled = RotaryScaling(kind, factor=8.0).apply(frequencies)
    torch.testing.assert_close(scaled.float(), expected, rtol=1e-5, atol=0.0)


def test_the_first_position_is_not_turned_and_no_length_is_changed() -> None:
    x = _random(3, 2, 8)
    turned = Rotary(8)(x, torch.tensor([0, 4, 100_000]))
    assert torch.equal(turned[0], x[0])
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))


@pytest.mark.parametrize("distance", [-9, 0, 1, 30])
def test_the_product_depends_on_the_distance_alone(distance: int) -> None:
    rotary = Rotary(8)
    query, key = (_random(1, 2, 8, seed=seed).expand(50, -1, -1) for seed in (1, 2))
    own = torch.arange(20, 70)
    products = (rotary(query, own) * rotary(key, own + distance)).sum(-1)
    assert (products - products[0]).abs().max() < 1e-10
    others = (rotary(query, own) * rotary(key, own + distance + 1)).sum(-1)
    assert (products - others).abs().max() > 1e-3


def test_rotary_positions_know_no_longest_text() -> None:
    rotary = Rotary(8)
    query, key = _random(1, 1, 8, seed=1), _random(1, 1, 8, seed=2)

    def product(first: int) -> Tensor:
        turned = rotary(query, torch.tensor([first])), rotary(key, torch.tensor([first + 5]))
        return (turned[0] * turned[1]).sum()

    assert (product(0) - product(1_000_000)).abs() < 1e-8


def test_rotary_positions_keep_the_dtype() -> None:
    x = _random(2, 1, 4).bfloat16()
    assert Rotary(4)(x, torch.tensor([0, 1])).dtype == torch.bfloat16


def test_an_odd_head_is_refused() -> None:
    with pytest.raises(ConfigError, match="head_size is 5; rotary positions turn pairs"):
        Rotary(5)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (16, 40), (12, 250)])
def test_buckets_are_those_of_the_reference_library(
    num_buckets: int, max_distance: int, is_causal: bool
) -> None:
    distance = torch.arange(-300, 301).unsqueeze(0)
    bias = RelativeBias(2, num_buckets=num_buckets, max_distance=max_distance, is_causal=is_causal)
    expected = T5Attention._relative_position_bucket(
        distance,
        bidirectional=not is_causal,
        num_buckets=num_buckets,
        max_distance=max_distance,
    )
    assert torch.equal(bias.buckets(distance), expected)
    assert len(expected.unique()) >= num_buckets - 1


def test_a_relative_bias_is_the_number_of_its_bucket() -> None:
    bias = RelativeBias(2, num_buckets=8, max_distance=20)
    torch.nn.init.normal_(bias.weight)
    distance = torch.tensor([[0, 1, -1], [-200, 200, 5]])
    found = bias(distance)
    assert found.shape == (2, 2, 3)
    buckets = bias.buckets(distance)
    for head in range(2):
        assert torch.equal(found[head], bias.weight[:, head][buckets])
    # Nothing lies before position -20 that is not told alike; the two directions differ.
    assert buckets[1].tolist()[:2] == [3, 7]


def test_slopes_are_those_of_the_paper() -> None:
    assert LinearBias(8).slopes == tuple(2.0**-power for power in range(1, 9))
    sixteen = LinearBias(16).slopes
    assert sixteen[0] == pytest.approx(2**-0.5)
    assert sixteen[-1] == 2**-8
    ratios = [after / before for before, after in zip(sixteen, sixteen[1:], strict=False)]
    assert ratios == [pytest.approx(2**-0.5)] * 15


def test_a_linear_bias_takes_away_the_distance_times_the_slope() -> None:
    distance = torch.tensor([[0, -1, -2, 3]])
    found = LinearBias(2)(distance)
    assert found[0].tolist() == [[0.0, -(2**-4), -2 * 2**-4, -3 * 2**-4]]
    assert found[1].tolist() == [[0.0, -(2**-8), -2 * 2**-8, -3 * 2**-8]]
    assert not list(LinearBias(2).state_dict())
