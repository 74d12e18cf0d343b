"""Multi-head and grouped-query attention, self and cross: the projections around `attend`."""

import math
from functools import partial

from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.layers.attention import attend, attend_plainly
from zhixing.layers.dropout import Noise
from zhixing.layers.kernels.cache_attention import attend_to_cache
from zhixing.layers.positions import PositionBias, Rotary
from zhixing.layers.tap import Tap


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
        dropout: float = 0.0,
        noise: Noise | None = None,
    ) -> Float[Tensor, "N D"]:
        """Attend and join the heads; in plain sight, and so without dropout, while watched."""
        attention = partial(attend, dropout=dropout, noise=noise)
        if self.weights.is_watched:
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
