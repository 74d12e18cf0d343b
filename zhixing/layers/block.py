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
from zhixing.layers.ragged import Ragged, position_numbers
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

    Positions are those of the new tokens, each in its own sequence. What is added to scores is the
    attention mask, which hides the slots of other hypotheses, with the bias by distance.
    """

    positions: Int[Tensor, " N"]
    scores_added: Float[Tensor, "#B #H W S"] | None
    rotary: Rotary | None


@dataclass(frozen=True)
class BlockConfig:
    """Say how the parts of a block are made: `MultiHeadAttention`, `FeedForward`, `Residual`."""

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
        memory: Ragged | None = None,
        noise: Noise | None = None,
        projected: list[tuple[Tensor, Tensor]] | None = None,
    ) -> Float[Tensor, "N D"]:
        """Read all positions of every sequence at once.

        Args:
            x: All positions.
            lengths: Of the sequences.
            context: What all blocks are told alike.
            memory: An encoder's output, for cross-attention.
            noise: For dropout.
            projected: Is given the keys and values of self-attention, then those of the memory.

        Raises:
            DataError: If the block attends to a memory and there is none.
        """
        weights_noise, cross_noise = (
            None if noise is None else noise.at(name) for name in ("weights", "cross weights")
        )

        # A shape in an annotation is made anew in every call of the function around it.
        def self_attention(y: Tensor) -> Tensor:
            positions = None if context.rotary is None else position_numbers(lengths, y.device)
            query, key, value = self.attention.project(
                y, rotary=context.rotary, positions=positions
            )
            if projected is not None:
                projected.append((key, value))
            return self.attention.attend_to(
                query,
                key,
                value,
                lengths=lengths,
                attended_lengths=lengths,
                is_causal=context.is_causal,
                bias=context.bias,
                dropout=context.attention_dropout,
                noise=weights_noise,
            )

        def cross_attention(y: Tensor) -> Tensor:
            crossing, seen = self._crossing(memory)
            key, value = crossing.project_memory(seen.values)
            if projected is not None:
                projected.append((key, value))
            return crossing.attend_to(
                crossing.project_query(y),
                key,
                value,
                lengths=lengths,
                attended_lengths=seen.lengths,
                dropout=context.attention_dropout,
                noise=cross_noise,
            )

        return self._assemble(x, self_attention, cross_attention, context.dropout, noise)

    def prefill(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        context: StackContext,
        *,
        memory: Ragged | None = None,
        memory_mask: Float[Tensor, "B 1 1 S"] | None = None,
    ) -> tuple[Float[Tensor, "N D"], KeyValueCache, CrossKeyValues | None]:
        """Read prompts as `forward` does, and fill the KV cache that steps go on from.

        The mask is `spare_mask` of the memory's lengths.
        """
        projected: list[tuple[Tensor, Tensor]] = []
        x = self(x, lengths, context, memory=memory, projected=projected)
        crossing = None
        if memory is not None and self.cross_attention is not None:
            crossing = CrossKeyValues.of(*projected[1], memory.lengths, memory_mask)
        return x, KeyValueCache.of(*projected[0], lengths), crossing

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

        The hypotheses of the first sequence come first.
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
