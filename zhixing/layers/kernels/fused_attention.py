"""Torch's fused attention kernel, kept at full precision where products around it are rounded."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def fused_attention(
    query: Float[Tensor, "B H T K"],
    key: Float[Tensor, "B H S K"],
    value: Float[Tensor, "B H S K"],
    *,
    mask: Tensor | None,
    is_causal: bool,
) -> Float[Tensor, "B H T K"]:
    """Attend over rectangles with torch's scaled-dot-product attention.

    On a CPU that is asked to round the factors of matrix products to bfloat16, torch 2.13's fused
    kernel sets each of its small products up anew, forwards and backwards: 36 ms where it takes
    2.5 otherwise (16 x 25 tokens, 12 heads). There it is called with rounding switched off, which
    is also more exact.

    The mask is True where a score counts, or numbers to be added; no gradient reaches it. Causal
    attention is between equally many positions.
    """
    if not rounds_products(query):
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=is_causal
        )
    if mask is not None and mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
    result: Tensor = _Fused.apply(query, key, value, mask, is_causal)  # type: ignore[no-untyped-call]
    return result


def rounds_products(query: Float[Tensor, "..."]) -> bool:
    """Tell whether products of such tensors have their factors rounded at present."""
    is_plain = query.device.type == "cpu" and query.dtype == torch.float32
    return is_plain and torch.get_float32_matmul_precision() != "highest"


class _Fused(torch.autograd.Function):
    """Call the kernel and its gradient at full precision."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        with _full_precision():
            result, log_sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, 0.0, is_causal, attn_mask=mask
            )
        ctx.save_for_backward(query, key, value, result, log_sums, mask)
        ctx.is_causal = is_causal
        kept: Tensor = result
        return kept

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, result, log_sums, mask = ctx.saved_tensors
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        with _full_precision():
            gradients_back = kernel(
                gradients[0],
                query,
                key,
                value,
                result,
                log_sums,
                0.0,
                ctx.is_causal,
                attn_mask=mask,
            )
        return (*gradients_back, None, None)


@contextmanager
def _full_precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
