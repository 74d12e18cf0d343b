"""Attention of a decoder's step: a few hypotheses of each sequence over the slots they share."""

import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.layers.kernels.fused_attention import fused_attention, rounds_products


def attend_to_cache(
    query: Float[Tensor, "N H K"],
    keys: Float[Tensor, "S B H K"],
    values: Float[Tensor, "S B H K"],
    mask: Float[Tensor, "#B #H #W S"] | None,
) -> Float[Tensor, "N H K"]:
    """Let the hypotheses of each sequence attend to slots; the numbers are `attend_plainly`'s.

    The fused kernels are made for many own positions. With one or a few, two batched products over
    the slots as they lie take half the time on a CPU.

    Args:
        query: Those of the first sequence first, equally many of each.
        keys: Of each sequence's slots.
        values: Of each sequence's slots.
        mask: What is added to scores, in any float type.
    """
    count, heads, size = keys.shape[1:]
    if mask is not None:
        mask = mask.to(query.dtype)
    own = query.view(count, -1, heads, size).transpose(1, 2)
    if _suits_products(query):
        result = _by_products(own, keys, values, mask)
    else:
        sides = (x.permute(1, 2, 0, 3) for x in (keys, values))
        result = fused_attention(own, *sides, mask=mask, is_causal=False)
    return result.transpose(1, 2).reshape(len(query), heads, size)


def _suits_products(query: Tensor) -> bool:
    """Tell whether batched products are fast here: one library multiplies them all in one call."""
    is_wide = query.is_cpu and query.dtype in (torch.float32, torch.float64)
    return is_wide and torch.backends.mkl.is_available() and not rounds_products(query)


def _by_products(
    query: Float[Tensor, "B H W K"],
    keys: Float[Tensor, "S B H K"],
    values: Float[Tensor, "S B H K"],
    mask: Float[Tensor, "#B #H #W S"] | None,
) -> Float[Tensor, "B H W K"]:
    own = query.flatten(0, 1) * query.size(-1) ** -0.5
    scores = torch.bmm(own, keys.flatten(1, 2).permute(1, 2, 0))
    if mask is not None:
        scores.view(*query.shape[:3], -1).add_(mask)
    weights = scores.softmax(-1)
    return torch.bmm(weights, values.flatten(1, 2).transpose(0, 1)).view(query.shape)
