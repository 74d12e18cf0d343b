"""The fast products are held against the plain twin, and each kernel against whole numbers."""

import dataclasses
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from zhixing.layers.kernels import int8, packed_linear
from zhixing.layers.kernels.int8 import (
    FEW_ROWS,
    LARGE_WEIGHT,
    SMALL_WEIGHT,
    STEPS,
    Factor,
    Kernels,
    multiply,
    multiply_plainly,
    prepare,
    quantize_rows,
    quantize_weight,
    usable_kernels,
)

NONE = Kernels(bfloat16=False, many=False, few=False, rows=False)
PROBED = usable_kernels()
INT8 = replace(PROBED, bfloat16=False)

# Every set of kernels that this machine can be made to use, the fastest first.
CHOICES = {"bfloat16": PROBED} if PROBED.bfloat16 else {}
CHOICES |= {"int8": INT8} if INT8 != NONE else {}
CHOICES |= {"portable": NONE}


def choose(monkeypatch: pytest.MonkeyPatch, kernels: Kernels) -> None:
    monkeypatch.setattr(int8, "usable_kernels", lambda: kernels)


@pytest.fixture(params=CHOICES.values(), ids=CHOICES.keys())
def any_kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kernels:
    choose(monkeypatch, request.param)
    return request.param


@pytest.fixture
def int8_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, INT8)


@pytest.fixture
def unprobed() -> Iterator[None]:
    for probe in (usable_kernels, packed_linear.can_pack):
        probe.cache_clear()
    yield
    for probe in (usable_kernels, packed_linear.can_pack):
        probe.cache_clear()


def tolerance(kernels: Kernels) -> float:
    """Half a step of bfloat16, to which the kernel rounds its result, or a few of float32."""
    return 1.01 * 2**-8 if kernels.bfloat16 else 1e-5


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def factor_of(outputs: int, inputs: int, *, has_bias: bool = True) -> Factor:
    rounded = quantize_weight(random(outputs, inputs, seed=1))
    return prepare(rounded.values, rounded.scale, random(outputs, seed=2) if has_bias else None)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


# Rounding


def test_a_weight_is_rounded_to_127_steps_on_each_side_of_zero() -> None:
    rounded = quantize_weight(torch.tensor([[1.27, -0.64, 0.0], [0.3, 0.0, -25.4]]))
    assert rounded.values.tolist() == [[127, -64, 0], [2, 0, -127]]
    torch.testing.assert_close(rounded.scale, torch.tensor([0.01, 0.2]))


@pytest.fixture(params=[True, False], ids=["at once", "plainly"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not PROBED.rows:
        pytest.skip("this torch has no kernel that rounds rows")
    choose(monkeypatch, replace(PROBED, rows=request.param))


@pytest.mark.usefixtures("either_way")
def test_a_row_is_rounded_between_its_smallest_and_largest_number() -> None:
    rows = quantize_rows(torch.tensor([[-1.0, 0.0, 2.0, 4.1]]))
    assert rows.values.tolist() == [[0, 50, 150, 255]]
    assert rows.scale.item() == pytest.approx(5.1 / 255)
    assert rows.offset.item() == -1.0


@pytest.mark.usefixtures("either_way")
def test_ties_go_to_the_even_value() -> None:
    rows = quantize_rows(torch.tensor([[0.0, 255.0, 0.5, 1.5, 2.5, 3.5]]))
    assert rows.values.tolist() == [[0, 255, 0, 2, 2, 4]]


@pytest.mark.usefixtures("either_way")
def test_a_row_always_reaches_both_ends_of_the_range() -> None:
    rows = quantize_rows(random(500, 33) * torch.logspace(-4, 20, 500).unsqueeze(1))
    assert bool((rows.values.amax(-1) == STEPS).all())
    assert bool((rows.values.amin(-1) == 0).all())


@pytest.mark.usefixtures("either_way")
def test_every_number_is_given_back_within_half_a_step() -> None:
    x = random(40, 64) + 3
    rows = quantize_rows(x)
    meant = rows.values * rows.scale + rows.offset
    assert bool(((meant - x).abs() <= rows.scale * 0.5001).all())


@pytest.mark.usefixtures("either_way")
def test_a_row_of_hardly_any_range_is_given_back_within_its_range() -> None:
    x = random(40, 64) * torch.logspace(-20, -5, 40).unsqueeze(1)
    rows = quantize_rows(x)
    meant = rows.values * rows.scale + rows.offset
    width = x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True)
    assert bool(((meant - x).abs() <= width).all())


@pytest.mark.usefixtures("either_way")
def test_the_range_need_not_be_even_about_zero() -> None:
    x = random(20, 200).clamp(min=-0.17)
    rows = quantize_rows(x)
    error = (rows.values * rows.scale + rows.offset - x).pow(2).mean()
    even = quantize_weight(x)
    even_error = (even.values * even.scale.unsqueeze(1) - x).pow(2).mean()
    assert error < even_error / 3


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("value", [0.0, 5.0, -3.5])
def test_a_row_of_equal_numbers_is_exact(value: float) -> None:
    rows = quantize_rows(torch.full((2, 8), value))
    assert rows.values.tolist() == [[0] * 8] * 2
    assert (rows.values * rows.scale + rows.offset).tolist() == [[value] * 8] * 2


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_row_that_is_not_finite_says_so(bad: float) -> None:
    x = random(3, 8)
    x[1, 2] = bad
    rows = quantize_rows(x)
    sound = rows.scale.isfinite() & rows.offset.isfinite()
    assert sound.flatten().tolist() == [True, False, True]


@pytest.mark.skipif(not PROBED.rows, reason="this torch has no kernel that rounds rows")
@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (40, 512), (129, 2048)])
def test_the_kernel_that_rounds_rows_agrees_with_its_plain_twin(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = random(*shape) * 3 + 1
    found = quantize_rows(x)
    choose(monkeypatch, NONE)
    plain = quantize_rows(x)
    assert torch.equal(found.offset, plain.offset)
    torch.testing.assert_close(found.scale, plain.scale)
    assert int((found.values.int() - plain.values.int()).abs().max()) <= 1
    assert float((found.values == plain.values).double().mean()) > 0.99


def test_a_weight_of_zeros_stays_zero() -> None:
    rounded = quantize_weight(torch.zeros(2, 3))
    assert rounded.values.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert bool(rounded.scale.isfinite().all())


@pytest.mark.usefixtures("either_way")
def test_a_row_is_rounded_as_if_it_were_alone() -> None:
    x = random(1000, 640)
    rows = quantize_rows(x)
    for i in (0, 500, 999):
        alone = quantize_rows(x[i : i + 1])
        assert torch.equal(rows.values[i : i + 1], alone.values)
        assert torch.equal(rows.scale[i : i + 1], alone.scale)
        assert torch.equal(rows.offset[i : i + 1], alone.offset)


def test_rounding_leaves_its_input_as_it_was() -> None:
    x = random(5, 7)
    before = x.clone()
    quantize_rows(x)
    quantize_weight(x)
    assert torch.equal(x, before)


def test_no_rows_give_no_rows() -> None:
    rows = quantize_rows(torch.zeros(0, 4))
    assert rows.values.shape == (0, 4)
    assert rows.scale.shape == (0, 1)


# Products


@pytest.mark.parametrize("num_rows", [1, 2, FEW_ROWS - 1, FEW_ROWS, 77, 300])
@pytest.mark.parametrize(("outputs", "inputs"), [(64, 48), (33, 17), (1, 5), (96, 384), (5, 1)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_product_equals_its_plain_twin(
    any_kernels: Kernels, num_rows: int, outputs: int, inputs: int, has_bias: bool
) -> None:
    factor = factor_of(outputs, inputs, has_bias=has_bias)
    x = random(num_rows, inputs, seed=3) + 0.5
    expected = multiply_plainly(x.double(), factor)
    assert relative_error(multiply(x, factor), expected) < tolerance(any_kernels)


@pytest.mark.usefixtures("int8_kernels")
def test_the_plain_twin_is_whole_numbers_times_scales() -> None:
    factor = factor_of(6, 10)
    x = random(4, 10, seed=3).double()
    rows = quantize_rows(x)
    whole = (rows.values.long() @ factor.weight.long().t()).double()
    by_hand = whole * rows.scale.double() * factor.scale.double()
    sums = (factor.weight.long().sum(1) * factor.scale.double()).double()
    by_hand += rows.offset.double() * sums
    by_hand += factor.bias.double()
    torch.testing.assert_close(multiply_plainly(x, factor), by_hand, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(not PROBED.bfloat16, reason="this processor has no tiles")
def test_the_plain_twin_rounds_inputs_to_bfloat16_where_the_kernel_does() -> None:
    factor = prepare(torch.tensor([[1, 2]], dtype=torch.int8), torch.ones(1), None)
    x = torch.tensor([[1 + 2**-9, 1 + 2**-7]], dtype=torch.float64)
    assert multiply_plainly(x, factor).item() == 1 + 2 * (1 + 2**-7)


@pytest.mark.usefixtures("any_kernels")
def test_a_product_is_near_that_of_the_float_layer() -> None:
    weight, bias, x = random(64, 256, seed=1), random(64, seed=2), random(50, 256, seed=3)
    rounded = quantize_weight(weight)
    found = multiply(x, prepare(rounded.values, rounded.scale, bias))
    expected = functional.linear(x, weight, bias)
    noise = (found - expected).pow(2).mean() / expected.pow(2).mean()
    # Two roundings of a number uniform within a step of amax / 127: about (0.01)^2 each.
    assert 1e-6 < noise < 4e-4


@pytest.mark.parametrize("num_rows", [4, 64])
def test_the_extremes_of_both_factors_do_not_saturate(any_kernels: Kernels, num_rows: int) -> None:
    inputs = 512
    weight = torch.full((48, inputs), 127, dtype=torch.int8)
    weight[::2] = -127
    factor = prepare(weight, torch.ones(48), None)
    x = torch.ones(num_rows, inputs)
    x[:, 0] = -1.0
    signs = torch.where(torch.arange(48) % 2 == 0, -127.0, 127.0)
    expected = (inputs - 2) * signs.expand(num_rows, 48)
    assert relative_error(multiply(x, factor), expected) < tolerance(any_kernels)


@pytest.mark.usefixtures("any_kernels")
@pytest.mark.parametrize("num_rows", [3, 40])
def test_a_neighbour_in_the_batch_changes_nothing(num_rows: int) -> None:
    factor = factor_of(24, 32)
    x = random(num_rows, 32, seed=3)
    before = multiply(x, factor)[0].clone()
    x[1:] *= 1000
    torch.testing.assert_close(multiply(x, factor)[0], before, rtol=1e-6, atol=1e-6)


@pytest.mark.usefixtures("int8_kernels")
def test_few_and_many_rows_agree_across_the_border() -> None:
    factor = factor_of(24, 32)
    x = random(FEW_ROWS + 1, 32, seed=3)
    assert factor.weight.numel() < SMALL_WEIGHT
    few, many = multiply(x[: FEW_ROWS - 1], factor), multiply(x, factor)
    torch.testing.assert_close(few, many[: FEW_ROWS - 1], rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("any_kernels")
def test_no_rows_give_an_empty_product() -> None:
    assert multiply(torch.zeros(0, 32), factor_of(24, 32)).shape == (0, 24)


@pytest.mark.usefixtures("any_kernels")
@pytest.mark.parametrize("num_rows", [3, 40])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_number_that_is_not_finite_spoils_its_row_and_no_other(num_rows: int, bad: float) -> None:
    x = random(num_rows, 32, seed=3)
    x[1, 5] = bad
    found = multiply(x, factor_of(24, 32)).isfinite()
    assert not bool(found[1].any())
    assert bool(found[[0, *range(2, num_rows)]].all())


@pytest.mark.usefixtures("any_kernels")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_product_comes_in_the_dtype_of_its_input(dtype: torch.dtype) -> None:
    factor = factor_of(24, 32)
    x = random(40, 32, seed=3).to(dtype)
    found = multiply(x, factor)
    assert found.dtype == dtype
    torch.testing.assert_close(found, multiply(x.float(), factor).to(dtype))


def test_float32_is_not_widened_again_after_a_product_in_bfloat16(any_kernels: Kernels) -> None:
    found = multiply(random(4, 32), factor_of(24, 32))
    assert found.dtype == (torch.bfloat16 if any_kernels.bfloat16 else torch.float32)


def test_scales_and_biases_of_other_dtypes_are_widened() -> None:
    rounded = quantize_weight(random(8, 6))
    factor = prepare(rounded.values, rounded.scale.bfloat16(), torch.ones(8).bfloat16())
    assert factor.scale.dtype == factor.bias.dtype == factor.sums.dtype == torch.float32


@pytest.mark.usefixtures("any_kernels")
def test_an_input_that_wants_a_gradient_is_multiplied_without_one() -> None:
    x = random(40, 32, seed=3).requires_grad_()
    assert not multiply(x, factor_of(24, 32)).requires_grad


def test_half_precision_sums_do_not_overflow_under_autocast(any_kernels: Kernels) -> None:
    factor = prepare(torch.full((4, 64), 127, dtype=torch.int8), torch.ones(4), None)
    x = torch.ones(40, 64)
    x[:, 0] = -1.0
    # 127 * 127 * 62 is more than float16 can hold.
    with torch.autocast("cpu", dtype=torch.float16):
        found = multiply(x, factor)
    assert relative_error(found, torch.full((40, 4), 127 * 62.0)) < tolerance(any_kernels)


@pytest.mark.usefixtures("any_kernels")
def test_strided_input_is_read_rightly() -> None:
    factor = factor_of(24, 32)
    wide = random(40, 64, seed=3)
    assert torch.equal(multiply(wide[:, ::2], factor), multiply(wide[:, ::2].contiguous(), factor))


# The choice of a kernel


def used(
    monkeypatch: pytest.MonkeyPatch, kernels: Kernels, num_rows: int, outputs: int = 24
) -> list[str]:
    """Say which products one multiplication calls."""
    calls: list[str] = []

    def watch(place: object, name: str, label: str) -> None:
        whole = getattr(place, name)

        def watched(*args: object) -> object:
            calls.append(label)
            return whole(*args)

        monkeypatch.setattr(place, name, watched)

    choose(monkeypatch, kernels)
    watch(int8, "multiply_packed", "bfloat16")
    watch(int8, "_multiply_many", "many")
    watch(int8, "_multiply_portably", "portable")
    watch(torch, "_int_mm", "few")
    multiply(random(num_rows, 32), factor_of(outputs, 32))
    return calls


@pytest.mark.skipif(INT8 == NONE, reason="this processor has no int8 products that are right")
@pytest.mark.parametrize(
    ("num_rows", "outputs", "kernel"),
    [
        (FEW_ROWS, 24, "many"),
        (FEW_ROWS - 1, 24, "few"),
        (2, SMALL_WEIGHT // 32, "many"),
        (1, SMALL_WEIGHT // 32, "few"),
        (1, LARGE_WEIGHT // 32, "many"),
    ],
)
def test_many_rows_take_the_packed_kernel_and_few_of_a_small_weight_the_other(
    monkeypatch: pytest.MonkeyPatch, num_rows: int, outputs: int, kernel: str
) -> None:
    assert used(monkeypatch, INT8, num_rows, outputs) == [kernel]


@pytest.mark.skipif(not PROBED.bfloat16, reason="this processor has no tiles")
@pytest.mark.parametrize("num_rows", [1, FEW_ROWS])
def test_tiles_go_before_all_else(monkeypatch: pytest.MonkeyPatch, num_rows: int) -> None:
    assert used(monkeypatch, PROBED, num_rows) == ["bfloat16"]


@pytest.mark.parametrize("num_rows", [2, FEW_ROWS])
def test_without_kernels_the_product_is_portable(
    monkeypatch: pytest.MonkeyPatch, num_rows: int
) -> None:
    assert used(monkeypatch, NONE, num_rows) == ["portable"]


def test_a_weight_is_laid_out_only_for_the_kernel_that_is_used(any_kernels: Kernels) -> None:
    factor = factor_of(24, 32)
    assert (factor.widened is not None) == any_kernels.bfloat16
    assert (factor.packed is not None) == (any_kernels.many and not any_kernels.bfloat16)
    assert (factor.packed is None) == (factor.zero_points is None)


@pytest.mark.usefixtures("unprobed")
def test_an_operator_that_is_missing_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ops", SimpleNamespace())
    monkeypatch.delattr(torch, "_int_mm")
    assert usable_kernels() == NONE


@pytest.mark.usefixtures("unprobed")
def test_an_operator_that_refuses_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Tensor) -> Tensor:
        raise RuntimeError("no such engine")

    monkeypatch.setattr(int8, "_pack", refuse)
    monkeypatch.setattr(int8, "_rounded_at_once", refuse)
    monkeypatch.setattr(packed_linear, "pack", refuse)
    monkeypatch.setattr(torch, "_int_mm", refuse)
    assert usable_kernels() == NONE


@pytest.mark.usefixtures("unprobed")
def test_a_kernel_that_saturates_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without VNNI, pairs of products are added in 16 bits."""

    def saturating(values: Tensor, weight: Tensor) -> Tensor:
        pairs = values.long().unflatten(1, (-1, 2)).unsqueeze(2)
        pairs = pairs * weight.long().t().unflatten(1, (-1, 2)).transpose(0, 1)
        return pairs.sum(-1).clamp(-32000, 32000).sum(1).int()

    def many(values: Tensor, factor: Factor) -> Tensor:
        return saturating(values, factor.weight.t()).float()

    monkeypatch.setattr(torch, "_int_mm", saturating)
    monkeypatch.setattr(int8, "_multiply_many", many)
    found = usable_kernels()
    assert not found.many
    assert not found.few


@pytest.mark.usefixtures("unprobed")
def test_bfloat16_without_tiles_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert usable_kernels() == INT8


@pytest.mark.usefixtures("unprobed")
def test_right_stand_ins_for_the_kernels_pass_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the probe refuses what is wrong, and not merely everything that is not the kernel."""

    def exact(values: Tensor, weight: Tensor) -> Tensor:
        return (values.long() @ weight.long()).int()

    monkeypatch.setattr(torch, "_int_mm", exact)
    monkeypatch.setattr(int8, "_pack", lambda weight: weight)
    monkeypatch.setattr(int8, "_multiply_many", lambda v, f: exact(v, f.weight.t()).float())
    monkeypatch.setattr(int8, "can_pack", lambda dtype: True)
    assert usable_kernels() == Kernels(bfloat16=True, many=True, few=True, rows=PROBED.rows)


@pytest.mark.usefixtures("unprobed")
def test_operators_are_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = usable_kernels()
    monkeypatch.delattr(torch, "_int_mm")
    assert usable_kernels() is first


def test_a_factor_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        factor_of(2, 3).bias = None
