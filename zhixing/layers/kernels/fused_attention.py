"""Fused attention: over rectangles of sequences laid side by side, and over a KV cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from zhixing.layers.ragged import starts


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


# A rectangle costs one kernel call, and in training one more on the way back, which is worth about
# this many scores a sequence that are computed for nothing; measured with 12 heads of 32 on two
# cores, flat between 1,000 and 8,000. Without a way back no spare score is worth a mask and a copy:
# of 512 texts, 10 % more tokens a second with 0 than with 2,048.
SPARE_SCORES = 2048

# The CPU's fused kernel takes so many scores at once, and what is left of a row one by one: on one
# core 127 columns take twice as long as 128 (bfloat16, 3 x 12 heads of 32). So columns are filled
# up where more is left than the copy and the mask are worth; measured with 7 to 250 columns. Ten
# rows gain less than the copy costs: three percent of the time of one short text.
KERNEL_COLUMNS = 16
ROWS_WORTH_FILLING = 32
WORTH_FILLING = {torch.bfloat16: 1, torch.float32: 6}


@dataclass(frozen=True)
class Group:
    """Sequences that are computed as one rectangle.

    Attributes:
        sequences: Which of the batch.
        length: Own positions of the longest.
        attended: Attended positions of the longest.
        is_even: They are all equally long, so that no cell is spare.
        start, attended_start: Where they lie, if they are even and lie in a row.
    """

    sequences: tuple[int, ...]
    length: int
    attended: int
    is_even: bool
    start: int | None
    attended_start: int | None

    @property
    def is_solid(self) -> bool:
        """Tell whether the rectangle is a plain view of the batch."""
        return self.start is not None


@lru_cache(maxsize=256)
def plan_groups(
    lengths: tuple[int, ...],
    attended_lengths: tuple[int, ...],
    *,
    same_offset: bool,
    spare_scores: int = SPARE_SCORES,
) -> tuple[Group, ...]:
    """Part a batch into rectangles: few calls, few scores computed for nothing.

    No sequence computes more than `spare_scores` for nothing. With `same_offset` only sequences are
    joined whose two lengths differ by the same number, which a bias by distance needs.

    Returns:
        Groups, the longest sequences first; in the batch's order where all are solid.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], -attended_lengths[i], i))
    groups: list[list[int]] = []
    for i in order:
        if groups:
            head = groups[-1][0]
            length, attended = lengths[head], attended_lengths[head]
            spare = max(length * attended - lengths[i] * attended_lengths[i], 0)
            fits = attended_lengths[i] <= attended and spare <= spare_scores
            if same_offset and length - attended != lengths[i] - attended_lengths[i]:
                fits = False
            if fits:
                groups[-1].append(i)
                continue
        groups.append([i])
    planned = tuple(_group(tuple(g), lengths, attended_lengths) for g in groups)
    if all(group.is_solid for group in planned):
        return tuple(sorted(planned, key=lambda group: group.sequences[0]))
    return planned


def _group(
    members: tuple[int, ...], lengths: tuple[int, ...], attended_lengths: tuple[int, ...]
) -> Group:
    length, attended = lengths[members[0]], attended_lengths[members[0]]
    first = min(members)
    in_a_row = sorted(members) == list(range(first, first + len(members)))
    equal = all(lengths[i] == length and attended_lengths[i] == attended for i in members)
    if not (in_a_row and equal):
        return Group(members, length, attended, equal, None, None)
    row = tuple(range(first, first + len(members)))
    start, attended_start = (starts(x)[first] for x in (lengths, attended_lengths))
    return Group(row, length, attended, equal, start, attended_start)


@lru_cache(maxsize=512)
# A prediction may be the first to ask, and what is kept has to serve training too.
@torch.inference_mode(mode=False)
def _rows(lengths: tuple[int, ...], sequences: tuple[int, ...], width: int) -> Int[Tensor, " R"]:
    """Tell where each cell of a rectangle lies in the batch; spare cells repeat the last row."""
    first = torch.tensor([starts(lengths)[i] for i in sequences]).unsqueeze(-1)
    last = torch.tensor([lengths[i] - 1 for i in sequences]).unsqueeze(-1)
    return (first + torch.arange(width).minimum(last)).flatten()


@lru_cache(maxsize=512)
# A prediction may be the first to ask, and what is kept has to serve training too.
@torch.inference_mode(mode=False)
def cells_of_rows(lengths: tuple[int, ...], groups: tuple[Group, ...]) -> Int[Tensor, " N"]:
    """Tell, for each row of the batch, which cell of the rectangles holds it."""
    cells = torch.empty(sum(lengths), dtype=torch.int64)
    before = 0
    for group in groups:
        for row, i in enumerate(group.sequences):
            first = starts(lengths)[i]
            cell = before + row * group.length
            cells[first : first + lengths[i]] = torch.arange(cell, cell + lengths[i])
        before += len(group.sequences) * group.length
    return cells


def allowed_scores(
    group: Group, lengths: tuple[int, ...], attended_lengths: tuple[int, ...], is_causal: bool
) -> Bool[Tensor, "B 1 T S"]:
    """Tell which scores of a rectangle count; a spare own position counts somewhere too."""
    attended = torch.tensor([attended_lengths[i] for i in group.sequences])[:, None, None]
    columns = torch.arange(group.attended)
    allowed = (columns < attended).expand(-1, group.length, -1)
    if is_causal:
        length = torch.tensor([lengths[i] for i in group.sequences])[:, None, None]
        rows = torch.arange(group.length)[:, None]
        allowed = allowed & (columns <= rows + attended - length)
    return allowed.unsqueeze(1)


def filled_columns(group: Group, query: Float[Tensor, "N H K"]) -> int:
    """Tell how many columns of scores an even rectangle takes the least time with."""
    left = group.attended % KERNEL_COLUMNS
    least = WORTH_FILLING.get(query.dtype) if query.is_cpu and group.is_even else None
    few = len(group.sequences) * group.length < ROWS_WORTH_FILLING
    if least is None or left < least or few or group.attended < KERNEL_COLUMNS // 2:
        return group.attended
    return group.attended - left + KERNEL_COLUMNS


@lru_cache(maxsize=512)
# A prediction may be the first to ask, and what is kept has to serve training too.
@torch.inference_mode(mode=False)
def spare_columns(attended: int, width: int, dtype: torch.dtype) -> Float[Tensor, "1 1 1 S"]:
    """Give what is added to the scores of a rectangle that was filled up to `width` columns."""
    mask = torch.zeros(1, 1, 1, width, dtype=dtype)
    mask[..., attended:] = -torch.inf
    return mask


def rectangle(
    x: Float[Tensor, "N H K"],
    lengths: tuple[int, ...],
    sequences: tuple[int, ...],
    width: int,
    start: int | None,
) -> Float[Tensor, "B H T K"]:
    """Lay sequences side by side: a view where they lie in a row, else a copy."""
    count = len(sequences)
    if start is not None:
        cells = x[start : start + count * width]
    else:
        cells = x.index_select(0, _rows(lengths, sequences, width).to(x.device))
    return cells.view(count, width, *x.shape[1:]).transpose(1, 2)


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
