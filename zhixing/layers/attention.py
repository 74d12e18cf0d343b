"""Attention: the textbook's equation, the same for ragged batches, and multi-head attention."""

import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zhixing.errors import DataError
from zhixing.layers.dropout import Dropout, drop
from zhixing.layers.kernels.fused_attention import (
    SPARE_SCORES,
    Group,
    allowed_scores,
    attend_to_cache,
    cells_of_rows,
    filled_columns,
    fused_attention,
    plan_groups,
    rectangle,
    rounds_products,
    spare_columns,
)
from zhixing.layers.positions import PositionBias, Rotary
from zhixing.layers.recorder import Tap


def attention_weights(
    query: Float[Tensor, "H T K"],
    key: Float[Tensor, "H S K"],
    *,
    is_causal: bool = False,
    bias: Float[Tensor, "H T S"] | None = None,
) -> Float[Tensor, "H T S"]:
    """Tell how strongly each position of one sequence attends to each position of another.

    Every row sums to 1. This is the textbook, one pair of sequences at a time; `attend` gives the
    same for a whole ragged batch without ever forming the weights.

    Args:
        query: One vector per head and own position.
        key: One vector per head and attended position.
        is_causal: Let a position attend only to those that end no later than itself, both
            sequences being aligned at their ends.
        bias: Numbers added to the scaled scores.

    Returns:
        Probabilities over the attended positions, in the dtype of `query`. The softmax itself is
        computed in float32, or in the dtype of `query` where that is wider.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1 up to the product with V.

    Example:
        >>> attention_weights(torch.zeros(1, 2, 8), torch.zeros(1, 4, 8))[0, 0]
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    scores = query @ key.mT / math.sqrt(query.size(-1))
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    if is_causal:
        length, attended = scores.shape[-2:]
        future = torch.ones(length, attended, dtype=torch.bool).triu(attended - length + 1)
        scores = scores.masked_fill(future.to(scores.device), -torch.inf)
    wide = torch.promote_types(query.dtype, torch.float32)
    return scores.softmax(dim=-1, dtype=wide).to(query.dtype)


def distances(length: int, attended: int, device: torch.device) -> Int[Tensor, "T S"]:
    """Tell how far each attended position lies after each own one, aligned at the ends.

    Example:
        >>> distances(2, 2, torch.device("cpu")).tolist()
        [[0, 1], [-1, 0]]
    """
    positions = torch.arange(attended - length, attended, device=device)
    return torch.arange(attended, device=device) - positions.unsqueeze(-1)


def attend_plainly(
    query: Float[Tensor, "N H K"],
    key: Float[Tensor, "M G K"],
    value: Float[Tensor, "M G K"],
    *,
    lengths: tuple[int, ...],
    attended_lengths: tuple[int, ...],
    is_causal: bool = False,
    bias: PositionBias | None = None,
    watch: Callable[[Float[Tensor, "H T S"]], Float[Tensor, "H T S"]] | None = None,
) -> Float[Tensor, "N H K"]:
    """Attend one sequence at a time, with the weights in plain sight.

    Query head h reads key/value head h // (H/G): all H heads have their own in multi-head
    attention, G of them are shared in grouped-query attention.

    The bias turns distances into numbers added to the scores. `watch` is handed each sequence's
    weights, in order, and hands them on.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1; Ainslie et al. 2023, arXiv:2305.13245,
        section 2.2, for heads that share keys and values.
    """
    check_lengths(lengths, attended_lengths, is_causal=is_causal)
    results = []
    num_heads, num_shared = query.size(1), key.size(1)
    shared_head = [head // (num_heads // num_shared) for head in range(num_heads)]
    parts = (query.split(list(lengths)), *(x.split(list(attended_lengths)) for x in (key, value)))
    for queries, shared_keys, shared_values in zip(*parts, strict=True):
        keys, values = shared_keys[:, shared_head], shared_values[:, shared_head]
        added = None if bias is None else bias(distances(len(queries), len(keys), query.device))
        weights = attention_weights(
            queries.transpose(0, 1), keys.transpose(0, 1), is_causal=is_causal, bias=added
        )
        if watch is not None:
            weights = watch(weights)
        results.append((weights @ values.transpose(0, 1)).transpose(0, 1))
    return torch.cat(results)


def attend(
    query: Float[Tensor, "N H K"],
    key: Float[Tensor, "M G K"],
    value: Float[Tensor, "M G K"],
    *,
    lengths: tuple[int, ...],
    attended_lengths: tuple[int, ...],
    is_causal: bool = False,
    bias: PositionBias | None = None,
    dropout: Dropout | None = None,
) -> Float[Tensor, "N H K"]:
    """Attend within each pair of sequences of a ragged batch; see `attend_plainly` for the words.

    Dropout falls on the weights and needs them formed, which leaves the fused kernels.
    """
    check_lengths(lengths, attended_lengths, is_causal=is_causal)
    num_shared = query.size(1) // key.size(1)
    if num_shared > 1:
        # The fused kernels want as many key/value heads as query heads.
        key, value = (x.repeat_interleave(num_shared, dim=1) for x in (key, value))
    groups = plan_groups(
        lengths,
        attended_lengths,
        same_offset=bias is not None,
        spare_scores=SPARE_SCORES if query.requires_grad else 0,
    )
    may_fill = not (is_causal or query.requires_grad or bias is not None)
    results = []
    for number, group in enumerate(groups):
        queries = rectangle(query, lengths, group.sequences, group.length, group.start)
        width = filled_columns(group, query) if may_fill else group.attended
        start = group.attended_start if width == group.attended else None
        keys, values = (
            rectangle(x, attended_lengths, group.sequences, width, start) for x in (key, value)
        )
        is_square = is_causal and all(lengths[i] == attended_lengths[i] for i in group.sequences)
        mask = None
        if not (group.is_even or is_square) or (is_causal and not is_square):
            mask = allowed_scores(group, lengths, attended_lengths, is_causal).to(query.device)
        elif width != group.attended:
            mask = spare_columns(group.attended, width, query.dtype)
        if bias is not None:
            mask = _biased(bias, group, mask, query, is_square)
            is_square = False
        here = None
        if dropout is not None and dropout.rate > 0.0:
            here = Dropout(dropout.rate, dropout.noise.at("attention", number))
        # The fused kernel that stands aside from rounding gives a learned bias no gradient.
        learns = mask is not None and mask.requires_grad and rounds_products(query)
        if here is not None or learns:
            result = _attend_openly(queries, keys, values, mask, is_square, here)
        else:
            result = fused_attention(queries, keys, values, mask=mask, is_causal=is_square)
        results.append(result.transpose(1, 2).flatten(0, 1))
    if all(group.is_solid for group in groups):
        return results[0] if len(results) == 1 else torch.cat(results)
    inverse = cells_of_rows(lengths, groups).to(query.device)
    return torch.cat(results).index_select(0, inverse)


def _biased(
    bias: PositionBias,
    group: Group,
    mask: Bool[Tensor, "B 1 T S"] | None,
    query: Float[Tensor, "N H K"],
    is_square: bool,
) -> Float[Tensor, "B H T S"]:
    """Join what may be seen and what is added; all sequences of a group have one offset."""
    distance = distances(group.length, group.attended, query.device)
    added = bias(distance).to(query.dtype).unsqueeze(0)
    if is_square:
        added = added.masked_fill(distance > 0, -torch.inf)
    if mask is not None:
        added = torch.where(mask, added, -torch.inf)
    return added


def _attend_openly(
    queries: Float[Tensor, "B H T K"],
    keys: Float[Tensor, "B H S K"],
    values: Float[Tensor, "B H S K"],
    mask: Tensor | None,
    is_square: bool,
    dropout: Dropout | None,
) -> Float[Tensor, "B H T K"]:
    """Attend with the weights formed: where dropout falls on them, or a bias is learned."""
    scores = queries @ keys.mT / math.sqrt(queries.size(-1))
    if is_square:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=queries.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    if mask is not None:
        is_claim = mask.dtype == torch.bool
        scores = scores.masked_fill(~mask, -torch.inf) if is_claim else scores + mask
    wide = torch.promote_types(queries.dtype, torch.float32)
    weights = scores.softmax(dim=-1, dtype=wide).to(queries.dtype)
    return (weights if dropout is None else drop(weights, *dropout)) @ values


def check_lengths(
    lengths: tuple[int, ...], attended_lengths: tuple[int, ...], *, is_causal: bool
) -> None:
    """Refuse a batch whose sequences cannot attend.

    Raises:
        DataError: If the batch is empty, the counts differ, a sequence has nothing to attend to,
            or a causal one has more own than attended positions.
    """
    if not lengths or len(lengths) != len(attended_lengths):
        raise DataError(
            f"{len(lengths)} sequences cannot attend to {len(attended_lengths)}; "
            f"both batches need the same number, at least one"
        )
    for i, (length, attended) in enumerate(zip(lengths, attended_lengths, strict=True)):
        if length < 1 or attended < 1 or (is_causal and length > attended):
            raise DataError(
                f"sequence {i} has {length} own and {attended} attended positions; each needs at "
                f"least one, and causal attention no more own than attended"
            )


class MultiHeadAttention(nn.Module):
    """Attend with several heads at once, to the own sequence or to a memory.

    Queries, keys and values of self-attention come from one product: one large kernel instead of
    three small ones.

    Args:
        hidden_size: Width in and out.
        num_heads: Query heads side by side; they divide the hidden size without a head size.
        num_key_value_heads: Heads of keys and values, each shared by equally many query heads
            (grouped-query attention; with 1, multi-query attention); None for as many.
        head_size: Width of each; None to part the hidden size among them.
        is_cross: Attend to a memory.
        bias: The products add something.
        scales_scores: Divide scores by the root of the head size; T5 does not.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2; Ainslie et al. 2023,
        arXiv:2305.13245, section 2.2, for shared heads; Raffel et al. 2020, arXiv:1910.10683,
        for scores that are not divided.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        num_key_value_heads: int | None = None,
        head_size: int | None = None,
        is_cross: bool = False,
        bias: bool = True,
        scales_scores: bool = True,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_key_value_heads = num_key_value_heads or num_heads
        self.head_size = head_size or hidden_size // num_heads
        self.is_cross = is_cross
        # Scores are divided by this further down; where they should not be, queries are larger.
        self.query_factor = 1.0 if scales_scores else math.sqrt(self.head_size)
        inside = num_heads * self.head_size
        shared = 2 * self.num_key_value_heads * self.head_size
        if is_cross:
            self.query = nn.Linear(hidden_size, inside, bias=bias)
            self.key_value = nn.Linear(hidden_size, shared, bias=bias)
        else:
            self.query_key_value = nn.Linear(hidden_size, inside + shared, bias=bias)
        self.output = nn.Linear(inside, hidden_size, bias=bias)
        self.weights = Tap()

    def project(
        self, x: Float[Tensor, "N D"], *, rotary: Rotary | None, positions: Int[Tensor, " N"] | None
    ) -> tuple[Float[Tensor, "N H K"], Float[Tensor, "N G K"], Float[Tensor, "N G K"]]:
        """Give queries, keys and values of self-attention, turned where positions are rotary."""
        shared = self.num_key_value_heads
        heads = self.query_key_value(x).view(len(x), -1, self.head_size)
        query, key, value = heads.split((self.num_heads, shared, shared), 1)
        if self.query_factor != 1.0:
            query = query * self.query_factor
        if rotary is not None and positions is not None:
            query, key = rotary(query, positions), rotary(key, positions)
        return query, key, value

    def project_memory(
        self, memory: Float[Tensor, "M D"]
    ) -> tuple[Float[Tensor, "M G K"], Float[Tensor, "M G K"]]:
        """Give keys and values of a memory, once for all steps that will attend to it."""
        heads = self.key_value(memory).view(len(memory), -1, self.head_size)
        key, value = heads.chunk(2, 1)
        return key, value

    def project_query(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N H K"]:
        """Give the queries of cross-attention."""
        query = self.query(x).view(len(x), self.num_heads, self.head_size)
        return query if self.query_factor == 1.0 else query * self.query_factor

    def attend_to(
        self,
        query: Float[Tensor, "N H K"],
        key: Float[Tensor, "M G K"],
        value: Float[Tensor, "M G K"],
        *,
        lengths: tuple[int, ...],
        attended_lengths: tuple[int, ...],
        is_causal: bool = False,
        bias: PositionBias | None = None,
        dropout: Dropout | None = None,
    ) -> Float[Tensor, "N D"]:
        """Attend and join the heads; in plain sight, and so without dropout, while watched."""
        attention = partial(attend, dropout=dropout)
        if self.weights._forward_hooks:
            attention = partial(attend_plainly, watch=self.weights)
        result = attention(
            query,
            key,
            value,
            lengths=lengths,
            attended_lengths=attended_lengths,
            is_causal=is_causal,
            bias=bias,
        )
        joined: Tensor = self.output(result.flatten(1))
        return joined

    def attend_to_cache(
        self,
        query: Float[Tensor, "N H K"],
        keys: Float[Tensor, "S B G K"],
        values: Float[Tensor, "S B G K"],
        mask: Float[Tensor, "#B #H #W S"] | None,
    ) -> Float[Tensor, "N D"]:
        """Let the hypotheses of each sequence attend to slots that they share; see `slots`."""
        joined: Tensor = self.output(attend_to_cache(query, keys, values, mask).flatten(1))
        return joined
