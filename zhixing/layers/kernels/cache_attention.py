"""Attention over the KV cache: a few hypotheses of each sequence over the slots they share."""

import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.layers.kernels.fused_attention import fused_attention, rounds_products


def attend_to_cache(
    query: Float[Tensor, "N H K"],
    keys: Float[Tensor, "S B G K"],
    values: Float[Tensor, "S B G K"],
    mask: Float[Tensor, "#B #H #W S"] | None,
) -> Float[Tensor, "N H K"]:
    """Let the hypotheses of each sequence attend to slots; the numbers are `attend_plainly`'s.

    The fused kernels are made for many own positions. With one or a few, two batched products over
    the slots as they lie take half the time on a CPU. Query heads that share a key/value head
    (grouped-query attention) stand side by side as if they were more hypotheses, so that nothing
    is repeated.

    Queries of the first sequence come first, equally many of each. The mask is added to scores.
    """
    if mask is not None:
        mask = mask.to(query.dtype)
    queries = query.view(keys.size(1), -1, *query.shape[1:]).transpose(1, 2)
    result = (_by_products if _suits_products(query) else _fused)(queries, keys, values, mask)
    return result.transpose(1, 2).reshape(query.shape)


def _suits_products(query: Tensor) -> bool:
    """Tell whether batched products are fast here: one library multiplies them all in one call."""
    is_wide = query.is_cpu and query.dtype in (torch.float32, torch.float64)
    return is_wide and torch.backends.mkl.is_available() and not rounds_products(query)


def _by_products(
    query: Float[Tensor, "B H W K"],
    keys: Float[Tensor, "S B G K"],
    values: Float[Tensor, "S B G K"],
    mask: Float[Tensor, "#B #H #W S"] | None,
) -> Float[Tensor, "B H W K"]:
    count, num_shared, size = keys.shape[1:]
    scaled = query.reshape(count * num_shared, -1, size) * size**-0.5
    scores = torch.bmm(scaled, keys.flatten(1, 2).permute(1, 2, 0))
    if mask is not None:
        scores.view(*query.shape[:3], -1).add_(mask)
    weights = scores.softmax(-1)
    return torch.bmm(weights, values.flatten(1, 2).transpose(0, 1)).view(query.shape)


def _fused(
    query: Float[Tensor, "B H W K"],
    keys: Float[Tensor, "S B G K"],
    values: Float[Tensor, "S B G K"],
    mask: Float[Tensor, "#B #H #W S"] | None,
) -> Float[Tensor, "B H W K"]:
    num_heads, width, size = query.shape[1:]
    num_shared = keys.size(2)
    sides = (x.permute(1, 2, 0, 3) for x in (keys, values))
    if num_shared == num_heads:
        return fused_attention(query, *sides, mask=mask, is_causal=False)
    if mask is not None:
        by_head = mask.expand(-1, num_heads, width, -1)
        mask = by_head.reshape(len(mask), num_shared, -1, mask.size(-1))
    grouped = query.reshape(len(query), num_shared, -1, size)
    return fused_attention(grouped, *sides, mask=mask, is_causal=False).reshape(query.shape)
