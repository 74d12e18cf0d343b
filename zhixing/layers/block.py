"""A Transformer layer: self-attention, cross-attention where asked for, feed-forward."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.errors import DataError
from zhixing.layers.cache import CrossKeyValues, KeyValueCache
from zhixing.layers.dropout import Noise
from zhixing.layers.feed_forward import FeedForward
from zhixing.layers.multi_head import MultiHeadAttention
from zhixing.layers.norm import NormKind
from zhixing.layers.positions import PositionBias, Rotary
from zhixing.layers.ragged import position_numbers
from zhixing.layers.residual import NormPlace, Residual
from zhixing.layers.tap import Tap

MemoryKind = TypeVar("MemoryKind")


@dataclass(frozen=True)
class StackContext:
    """What all blocks of a stack are told alike.

    Attributes:
        is_causal: The causal mask: positions see only those before them and themselves.
        rotary: Turns queries and keys, where positions are rotary.
        bias: Adds to the scores, where positions are a bias.
        dropout: Rate on each sublayer's result.
        attention_dropout: Rate on the attention weights.
    """

    is_causal: bool = False
    rotary: Rotary | None = None
    bias: PositionBias | None = None
    dropout: float = 0.0
    attention_dropout: float = 0.0


@dataclass(frozen=True)
class StepContext:
    """What all blocks of a stack are told alike at one step of a decoder.

    Attributes:
        positions: Of the new tokens, each in its own sequence.
        scores_added: The attention mask, which hides the slots of other hypotheses, with the bias
            by distance.
        rotary: Turns queries and keys, where positions are rotary.
    """

    positions: Int[Tensor, " N"]
    scores_added: Float[Tensor, "#B #H W S"] | None
    rotary: Rotary | None


@dataclass(frozen=True)
class BlockConfig:
    """Say how the parts of a block are made.

    Attributes:
        num_heads, num_key_value_heads, head_size: See `MultiHeadAttention`.
        feed_forward_size: Width inside the feed-forward network.
        activation: Inside it.
        is_gated: It multiplies two products, see `FeedForward`.
        norm: Where residuals are normalized.
        norm_kind: How.
        norm_eps: Added to the variance.
        bias: Products add something.
        scales_scores: See `MultiHeadAttention`.
    """

    num_heads: int
    feed_forward_size: int
    activation: str
    norm: NormPlace
    norm_eps: float
    num_key_value_heads: int | None = None
    head_size: int | None = None
    is_gated: bool = False
    norm_kind: NormKind = "layer"
    bias: bool = True
    scales_scores: bool = True

    def attention(self, hidden_size: int, *, is_cross: bool = False) -> MultiHeadAttention:
        """Make the attention to the own sequence, or to a memory."""
        return MultiHeadAttention(
            hidden_size,
            self.num_heads,
            num_key_value_heads=self.num_key_value_heads,
            head_size=self.head_size,
            is_cross=is_cross,
            bias=self.bias,
            scales_scores=self.scales_scores,
        )

    def residual(self, hidden_size: int) -> Residual:
        """Make the connection around a sublayer."""
        return Residual(
            hidden_size, norm=self.norm, norm_eps=self.norm_eps, norm_kind=self.norm_kind
        )


class Memory:
    """An encoder's output, as the cross-attention of a decoder's blocks sees it."""

    def __init__(self, values: Float[Tensor, "M D"], lengths: tuple[int, ...]) -> None:
        self.values = values
        self.lengths = lengths


class Block(nn.Module):
    """Join self-attention, cross-attention and feed-forward by a residual stream.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, figure 1.
    """

    def __init__(
        self, hidden_size: int, form: BlockConfig, *, has_cross_attention: bool = False
    ) -> None:
        super().__init__()
        self.attention = form.attention(hidden_size)
        self.attention_residual = form.residual(hidden_size)
        self.cross_attention: MultiHeadAttention | None = None
        self.cross_residual: Residual | None = None
        if has_cross_attention:
            self.cross_attention = form.attention(hidden_size, is_cross=True)
            self.cross_residual = form.residual(hidden_size)
        self.feed_forward = FeedForward(
            hidden_size,
            form.feed_forward_size,
            activation=form.activation,
            is_gated=form.is_gated,
            bias=form.bias,
        )
        self.feed_forward_residual = form.residual(hidden_size)
        self.result = Tap()

    def forward(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        context: StackContext,
        *,
        memory: Memory | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "N D"]:
        """Read all positions of every sequence at once.

        Raises:
            DataError: If the block attends to a memory and there is none.
        """
        rate = context.attention_dropout
        weights_noise, cross_noise = (
            None if noise is None else noise.at(name) for name in ("weights", "cross weights")
        )

        # A shape in an annotation is made anew in every call of the function around it.
        def self_attention(y: Tensor) -> Tensor:
            return self.attention(
                y,
                lengths,
                is_causal=context.is_causal,
                rotary=context.rotary,
                bias=context.bias,
                dropout=rate,
                noise=weights_noise,
            )

        def cross_attention(y: Tensor) -> Tensor:
            crossing, seen = self._crossing(memory)
            key, value = crossing.project_memory(seen.values)
            return crossing.attend_to_memory(
                y,
                lengths=lengths,
                key=key,
                value=value,
                memory_lengths=seen.lengths,
                dropout=rate,
                noise=cross_noise,
            )

        return self._assemble(x, self_attention, cross_attention, context.dropout, noise)

    def prefill(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        context: StackContext,
        *,
        memory: Memory | None = None,
        memory_mask: Float[Tensor, "B 1 1 S"] | None = None,
    ) -> tuple[Float[Tensor, "N D"], KeyValueCache, CrossKeyValues | None]:
        """Read prompts as `forward` does, and fill the KV cache that steps go on from.

        Args:
            x: All positions of the prompts.
            lengths: Of the prompts.
            context: As in `forward`.
            memory: As in `forward`.
            memory_mask: `spare_mask` of its lengths.

        Raises:
            DataError: If the block attends to a memory and there is none.
        """
        caches: list[KeyValueCache] = []
        cross_key_values: list[CrossKeyValues] = []

        def self_attention(y: Tensor) -> Tensor:
            positions = position_numbers(lengths, y.device)
            query, key, value = self.attention.project(
                y, rotary=context.rotary, positions=positions
            )
            caches.append(KeyValueCache.of(key, value, lengths))
            return self.attention.attend_to(
                query,
                key,
                value,
                lengths=lengths,
                attended_lengths=lengths,
                is_causal=context.is_causal,
                bias=context.bias,
            )

        def cross_attention(y: Tensor) -> Tensor:
            crossing, seen = self._crossing(memory)
            key, value = crossing.project_memory(seen.values)
            cross_key_values.append(CrossKeyValues.of(key, value, seen.lengths, memory_mask))
            return crossing.attend_to_memory(
                y, lengths=lengths, key=key, value=value, memory_lengths=seen.lengths
            )

        x = self._assemble(x, self_attention, cross_attention, 0.0, None)
        return x, caches[0], cross_key_values[0] if cross_key_values else None

    def step(
        self,
        x: Float[Tensor, "N D"],
        context: StepContext,
        cache: KeyValueCache,
        cross_key_values: CrossKeyValues | None = None,
    ) -> tuple[Float[Tensor, "N D"], KeyValueCache]:
        """Read one new position of every hypothesis, after those the cache remembers.

        The result equals the last positions of `forward` over all of them. The cache that is
        passed in is consumed.

        Args:
            x: The hypotheses of the first sequence first.
            context: Where the new positions stand, and what they see.
            cache: Keys and values of the positions before.
            cross_key_values: What `project_memory` gave.
        """
        grown: list[KeyValueCache] = []

        def self_attention(y: Tensor) -> Tensor:
            query, key, value = self.attention.project(
                y, rotary=context.rotary, positions=context.positions
            )
            grown.append(cache.append(key, value))
            keys, values = grown[0].slots
            return self.attention.attend_to_cache(query, keys, values, context.scores_added)

        def cross_attention(y: Tensor) -> Tensor:
            crossing, seen = self._crossing(cross_key_values)
            return crossing.attend_to_cache(
                crossing.project_query(y), seen.keys, seen.values, seen.mask
            )

        x = self._assemble(x, self_attention, cross_attention, 0.0, None)
        return x, grown[0]

    def _crossing(self, memory: MemoryKind | None) -> tuple[MultiHeadAttention, MemoryKind]:
        if memory is None or self.cross_attention is None:
            raise DataError("this block attends to a memory, but none was given; encode first")
        return self.cross_attention, memory

    def _assemble(
        self,
        x: Float[Tensor, "N D"],
        self_attention: Callable[[Tensor], Tensor],
        cross_attention: Callable[[Tensor], Tensor],
        dropout: float,
        noise: Noise | None,
    ) -> Float[Tensor, "N D"]:
        """Say once in which order the sublayers stand on the residual stream."""
        noises = [None if noise is None else noise.at(name) for name in ("self", "cross", "ff")]
        x = self.attention_residual(x, self_attention, dropout=dropout, noise=noises[0])
        if self.cross_residual is not None:
            x = self.cross_residual(x, cross_attention, dropout=dropout, noise=noises[1])
        x = self.feed_forward_residual(x, self.feed_forward, dropout=dropout, noise=noises[2])
        result: Tensor = self.result(x)
        return result
