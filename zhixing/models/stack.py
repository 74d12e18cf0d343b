"""A stack of blocks: an encoder, or a decoder that attends to one."""

from collections.abc import Iterable
from functools import partial
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from zhixing.layers.block import Block, BlockConfig, Memory, StackContext, StepContext
from zhixing.layers.cache import BeamMask, CrossKeyValues, KeyValueCache, spare_mask
from zhixing.layers.dropout import Noise
from zhixing.layers.norm import Norm, norm_named
from zhixing.layers.positions import LinearBias, PositionBias, RelativeBias, Rotary
from zhixing.models.checkpointing import recomputed
from zhixing.models.config import ModelConfig


class Stack(nn.Module):
    """Hold the blocks of an encoder or decoder, and what all of them are told alike."""

    def __init__(self, config: ModelConfig, *, num_layers: int, is_decoder: bool = False) -> None:
        super().__init__()
        form = BlockConfig(
            num_heads=config.num_heads,
            head_size=config.head_size,
            feed_forward_size=config.feed_forward_size,
            activation=config.activation,
            is_gated=config.is_gated,
            norm=config.norm,
            norm_kind=config.norm_kind,
            norm_eps=config.norm_eps,
            bias=config.linear_bias,
            scales_scores=config.scales_scores,
        )
        size = config.hidden_size
        self.blocks = nn.ModuleList(
            Block(size, form, has_cross_attention=is_decoder) for _ in range(num_layers)
        )
        self.norm: Norm | None = None
        if config.norm == "pre":
            self.norm = norm_named(config.norm_kind, size, eps=config.norm_eps)
        self.rotary: Rotary | None = None
        if config.positions == "rotary":
            self.rotary = Rotary(config.head_size or size // config.num_heads)
        self.position_bias: PositionBias | None = None
        if config.positions == "relative":
            self.position_bias = RelativeBias(
                config.num_heads,
                num_buckets=config.relative_buckets,
                max_distance=config.relative_max_distance,
                is_causal=is_decoder,
            )
        elif config.positions == "linear":
            self.position_bias = LinearBias(config.num_heads)
        self.is_causal = is_decoder
        self.dropout = config.dropout
        self.attention_dropout = config.attention_dropout

    def forward(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        *,
        memory: Memory | None = None,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Float[Tensor, "N D"]:
        """Run all blocks; with `gradient_checkpointing` backward computes each of them again."""
        context = StackContext(
            is_causal=self.is_causal,
            rotary=self.rotary,
            bias=self.position_bias,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
        )
        for i, block in enumerate(self.blocks):
            place = None if noise is None else noise.at("block", i)
            again = partial(block, lengths=lengths, context=context, memory=memory, noise=place)
            x = recomputed(again, x) if gradient_checkpointing else again(x)
        return x if self.norm is None else self.norm(x)

    def project_memory(self, memory: Memory) -> list[CrossKeyValues | None]:
        """Give what the steps of each block will need of an encoder's output."""
        mask = spare_mask(memory.lengths, memory.values.dtype, memory.values.device)
        return [
            block.project_memory(memory, mask) for block in cast("Iterable[Block]", self.blocks)
        ]

    def step(
        self,
        x: Float[Tensor, "N D"],
        caches: list[KeyValueCache],
        beam_mask: BeamMask,
        cross_key_values: list[CrossKeyValues | None],
    ) -> tuple[Float[Tensor, "N D"], list[KeyValueCache]]:
        """Read one new position of every hypothesis; see `Block.step`.

        Args:
            x: The hypotheses of the first sequence first.
            caches: One a block; they are consumed.
            beam_mask: Grown already by the new position.
            cross_key_values: One a block.
        """
        place = StepContext(
            position=beam_mask.position - 1,
            scores_added=beam_mask.scores_added(self.position_bias),
            rotary=self.rotary,
        )
        grown = []
        blocks = cast("Iterable[Block]", self.blocks)
        for block, cache, memory in zip(blocks, caches, cross_key_values, strict=True):
            x, more = block.step(x, place, cache, memory)
            grown.append(more)
        return (x if self.norm is None else self.norm(x)), grown
