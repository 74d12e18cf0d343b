"""A packed product is that of the plain layer, and what is derived follows the weights."""

import copy
import io
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from zhixing.layers.kernels import packed_linear
from zhixing.layers.kernels.packed_linear import PackedLinear, can_pack, multiply_packed, pack

needs_kernels = pytest.mark.skipif(
    not can_pack(torch.float32), reason="this torch has no such kernels"
)
needs_tiles = pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor has no tiles")


@pytest.fixture
def unprobed() -> Iterator[None]:
    can_pack.cache_clear()
    yield
    can_pack.cache_clear()


def linear(inputs: int = 24, outputs: int = 7, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@needs_kernels
@pytest.mark.parametrize("num_rows", [0, 1, 5, 200])
@pytest.mark.parametrize("has_bias", [True, False])
def test_a_packed_product_is_that_of_the_layer(num_rows: int, has_bias: bool) -> None:
    layer, x = linear(bias=has_bias), random(num_rows, 24)
    found = PackedLinear(layer, dtype=torch.float32)(x)
    torch.testing.assert_close(found, layer(x), rtol=1e-6, atol=1e-6)


@needs_tiles
def test_a_product_in_bfloat16_is_rounded_and_stays_so() -> None:
    layer, x = linear(), random(5, 24)
    found = PackedLinear(layer, dtype=torch.bfloat16)(x)
    factors = x.bfloat16().double(), layer.weight.bfloat16().double()
    expected = factors[0] @ factors[1].mT + layer.bias.double()
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=1e-6)


@needs_kernels
def test_dimensions_before_the_last_are_kept() -> None:
    layer, x = linear(), random(2, 3, 24)
    found = PackedLinear(layer, dtype=torch.float32)(x)
    torch.testing.assert_close(found, layer(x), rtol=1e-6, atol=1e-6)


@needs_kernels
def test_the_state_is_that_of_the_layer_and_shares_it() -> None:
    layer = linear()
    twin = PackedLinear(layer, dtype=torch.float32)
    twin(random(1, 24))
    assert list(twin.state_dict()) == list(layer.state_dict())
    assert twin.weight is layer.weight
    torch.save(copy.deepcopy(twin).state_dict(), io.BytesIO())


@needs_kernels
def test_loaded_weights_are_packed_anew() -> None:
    twin, x = PackedLinear(linear(), dtype=torch.float32), random(3, 24)
    before = twin(x)
    twin.load_state_dict({name: 2 * value for name, value in twin.state_dict().items()})
    torch.testing.assert_close(twin(x), 2 * before, rtol=1e-6, atol=1e-6)


@needs_kernels
def test_another_dtype_is_multiplied_as_the_layer_does() -> None:
    twin = PackedLinear(linear(), dtype=torch.float32)
    twin(random(1, 24))
    assert twin.double()(random(2, 24).double()).dtype == torch.float64


@needs_kernels
def test_where_a_gradient_is_wanted_it_passes() -> None:
    x = random(2, 24).requires_grad_()
    PackedLinear(linear(), dtype=torch.float32)(x).sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).all())


@needs_kernels
def test_a_weight_that_learns_gets_its_gradient() -> None:
    twin = PackedLinear(linear().requires_grad_(True), dtype=torch.float32)
    twin(random(2, 24)).sum().backward()
    assert twin.weight.grad is not None and twin.bias.grad is not None


@pytest.mark.usefixtures("unprobed")
def test_kernels_that_are_missing_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(weight: Tensor) -> Tensor:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(packed_linear, "pack", refuse)
    assert not can_pack(torch.float32)


@needs_kernels
@pytest.mark.usefixtures("unprobed")
def test_a_kernel_that_cuts_instead_of_rounding_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cutting(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        product = x @ weight.float().t() + bias
        return (product.view(torch.int32) & -65536).view(torch.float32).bfloat16()

    monkeypatch.setattr(packed_linear, "has_tiles", lambda: True)
    monkeypatch.setattr(packed_linear, "pack", lambda weight: weight)
    monkeypatch.setattr(packed_linear, "multiply_packed", cutting)
    assert not can_pack(torch.bfloat16)


@pytest.mark.usefixtures("unprobed")
def test_bfloat16_without_tiles_is_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_linear, "has_tiles", lambda: False)
    assert not can_pack(torch.bfloat16)


@needs_kernels
def test_no_gradient_passes_through_the_kernel_itself() -> None:
    x = random(2, 24).requires_grad_()
    assert not multiply_packed(x, pack(linear().weight), None).requires_grad
