"""One layer of a Transformer: attention to itself, to a memory where asked for, feed-forward."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.errors import DataError
from zhixing.layers.cache import LayerCache
from zhixing.layers.dropout import Noise
from zhixing.layers.feed_forward import FeedForward
from zhixing.layers.multi_head import MultiHeadAttention
from zhixing.layers.positions import PositionBias, Rotary
from zhixing.layers.ragged import position_numbers
from zhixing.layers.residual import NormPlace, Residual
from zhixing.layers.tap import Tap


@dataclass(frozen=True)
class Surroundings:
    """What all blocks of a stack are told alike.

    Attributes:
        is_causal: Positions see only those before them and themselves.
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


class Memory:
    """An encoder's output, as a decoder's blocks attend to it."""

    def __init__(self, values: Float[Tensor, "M D"], lengths: tuple[int, ...]) -> None:
        self.values = values
        self.lengths = lengths


class Block(nn.Module):
    """Join self-attention, cross-attention where asked for, and feed-forward by residuals.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, figure 1.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        num_heads: int,
        feed_forward_size: int,
        activation: str,
        norm: NormPlace,
        norm_eps: float,
        has_cross_attention: bool = False,
    ) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(hidden_size, num_heads)
        self.attention_residual = Residual(hidden_size, norm=norm, norm_eps=norm_eps)
        self.cross_attention: MultiHeadAttention | None = None
        self.cross_residual: Residual | None = None
        if has_cross_attention:
            self.cross_attention = MultiHeadAttention(hidden_size, num_heads, is_cross=True)
            self.cross_residual = Residual(hidden_size, norm=norm, norm_eps=norm_eps)
        self.feed_forward = FeedForward(hidden_size, feed_forward_size, activation=activation)
        self.feed_forward_residual = Residual(hidden_size, norm=norm, norm_eps=norm_eps)
        self.result = Tap()

    def forward(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        surroundings: Surroundings,
        *,
        memory: Memory | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "N D"]:
        """Read all positions of every sequence at once."""
        place = None if noise is None else noise.at("weights")
        return self._assemble(
            x,
            lengths,
            surroundings,
            self_attention=lambda y: self.attention(
                y,
                lengths,
                is_causal=surroundings.is_causal,
                rotary=surroundings.rotary,
                bias=surroundings.bias,
                dropout=surroundings.attention_dropout,
                noise=place,
            ),
            memory=memory,
            noise=noise,
        )

    def step(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        surroundings: Surroundings,
        cache: LayerCache,
        *,
        memory: Memory | None = None,
    ) -> tuple[Float[Tensor, "N D"], LayerCache]:
        """Read new positions of every sequence, after those the cache remembers.

        The result equals the last positions of `forward` over all of them. The cache that is
        passed in is consumed.
        """
        grown: list[LayerCache] = []

        def self_attention(y: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
            key_positions = _positions_after(cache.lengths, lengths, y)
            query, key, value = self.attention.project(
                y, rotary=surroundings.rotary, positions=key_positions
            )
            grown.append(cache.append(key, value, lengths))
            keys, values = grown[0].ragged()
            return self.attention.attend_to(
                query,
                keys,
                values,
                lengths=lengths,
                attended_lengths=grown[0].lengths,
                is_causal=True,
                bias=surroundings.bias,
            )

        x = self._assemble(
            x, lengths, surroundings, self_attention=self_attention, memory=memory, noise=None
        )
        return x, grown[0]

    def _assemble(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        surroundings: Surroundings,
        *,
        self_attention: Callable[[Tensor], Tensor],
        memory: Memory | None,
        noise: Noise | None,
    ) -> Float[Tensor, "N D"]:
        """Say once in which order the sublayers stand."""
        rate = surroundings.dropout
        places = [None if noise is None else noise.at(name) for name in ("self", "cross", "ff")]
        x = self.attention_residual(x, self_attention, dropout=rate, noise=places[0])
        if self.cross_attention is not None and self.cross_residual is not None:
            if memory is None:
                raise DataError("this block attends to a memory, but none was given; encode first")
            key, value = self.cross_attention.remember(memory.values)
            attend = partial(
                self.cross_attention.ask,
                key=key,
                value=value,
                memory_lengths=memory.lengths,
                dropout=surroundings.attention_dropout,
                noise=None if noise is None else noise.at("cross weights"),
            )
            x = self.cross_residual(
                x, lambda y: attend(y, lengths=lengths), dropout=rate, noise=places[1]
            )
        x = self.feed_forward_residual(x, self.feed_forward, dropout=rate, noise=places[2])
        result: Tensor = self.result(x)
        return result


def _positions_after(
    before: tuple[int, ...], lengths: tuple[int, ...], x: Float[Tensor, "N D"]
) -> Int[Tensor, " N"]:
    counts = torch.tensor(lengths, device=x.device)
    first = torch.tensor(before, device=x.device).repeat_interleave(counts)
    return position_numbers(lengths, x.device) + first
