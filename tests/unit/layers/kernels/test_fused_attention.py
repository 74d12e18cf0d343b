"""The fused kernel at full precision against the public one, forwards and backwards."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from zhixing.layers.kernels.fused_attention import fused_attention, rounds_products


@pytest.fixture
def rounding() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rectangles() -> list[torch.Tensor]:
    return [drawn(2, 3, 7, 8, seed=i).requires_grad_() for i in range(3)]


MASKS = {
    "none": None,
    "claims": torch.ones(2, 1, 7, 7, dtype=torch.bool).tril(),
    "numbers": drawn(1, 3, 7, 7, seed=9),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("is_causal", [False, True])
def test_values_and_gradients_are_those_of_the_public_kernel(rounding, name, is_causal):
    mask = MASKS[name]
    if is_causal and mask is not None:
        pytest.skip("torch takes a mask or is_causal, not both")
    ours, theirs = rectangles(), rectangles()
    weight = drawn(2, 3, 7, 8, seed=5)
    result = fused_attention(*ours, mask=mask, is_causal=is_causal)
    (result * weight).sum().backward()
    torch.set_float32_matmul_precision("highest")
    expected = functional.scaled_dot_product_attention(*theirs, attn_mask=mask, is_causal=is_causal)
    (expected * weight).sum().backward()
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=2e-6)


def test_rounding_is_switched_on_again_afterwards(rounding):
    result = fused_attention(*rectangles(), mask=None, is_causal=False)
    assert torch.get_float32_matmul_precision() == "medium"
    result.sum().backward()
    assert torch.get_float32_matmul_precision() == "medium"


def test_rounding_is_switched_on_again_after_an_error(rounding):
    with pytest.raises(RuntimeError):
        fused_attention(*rectangles(), mask=torch.zeros(5, 5), is_causal=False)
    assert torch.get_float32_matmul_precision() == "medium"


def test_only_float32_on_a_cpu_is_rounded(rounding):
    query = rectangles()[0]
    assert rounds_products(query)
    assert not rounds_products(query.double())
    torch.set_float32_matmul_precision("highest")
    assert not rounds_products(query)
