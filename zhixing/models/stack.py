"""A stack of blocks, encoder or decoder, and the heads that stand on it."""

from collections.abc import Iterable
from functools import partial
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from zhixing.layers.block import Block, BlockConfig, Norm, StackContext, StepContext, norm_named
from zhixing.layers.cache import BeamMask, DecoderState, spare_mask
from zhixing.layers.dropout import Noise, drop
from zhixing.layers.feed_forward import activation_named
from zhixing.layers.positions import LinearBias, PositionBias, RelativeBias, Rotary, RotaryScaling
from zhixing.layers.ragged import Ragged
from zhixing.models.checkpointing import recomputed
from zhixing.models.config import ModelConfig


class Stack(nn.Module):
    """Hold the blocks of an encoder or decoder, and what all of them are told alike.

    A stack of no layers has no weights and hands on what it is given.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        num_layers: int,
        is_causal: bool = False,
        has_cross_attention: bool = False,
    ) -> None:
        super().__init__()
        form = BlockConfig(
            num_heads=config.num_heads,
            num_key_value_heads=config.num_key_value_heads,
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
            Block(size, form, has_cross_attention=has_cross_attention) for _ in range(num_layers)
        )
        self.norm: Norm | None = None
        if config.norm == "pre" and num_layers:
            self.norm = norm_named(config.norm_kind, size, eps=config.norm_eps)
        self.rotary: Rotary | None = None
        if config.positions == "rotary":
            self.rotary = Rotary(
                config.head_size or size // config.num_heads,
                base=config.rotary_base,
                scaling=RotaryScaling(
                    config.rotary_scaling,
                    factor=config.rotary_scaling_factor,
                    low_factor=config.rotary_low_factor,
                    high_factor=config.rotary_high_factor,
                    trained_positions=config.rotary_trained_positions,
                ),
            )
        self.position_bias: PositionBias | None = None
        if config.positions == "relative" and num_layers:
            self.position_bias = RelativeBias(
                config.num_heads,
                num_buckets=config.relative_buckets,
                max_distance=config.relative_max_distance,
                is_causal=is_causal,
            )
        elif config.positions == "linear":
            self.position_bias = LinearBias(config.num_heads)
        self.is_causal = is_causal
        self.dropout = config.dropout
        self.attention_dropout = config.attention_dropout

    def forward(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        *,
        memory: Ragged | None = None,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Float[Tensor, "N D"]:
        """Run all blocks; with `gradient_checkpointing` backward computes each of them again."""
        context = self._context()
        for i, block in enumerate(self.blocks):
            inner = None if noise is None else noise.at("block", i)
            again = partial(block, lengths=lengths, context=context, memory=memory, noise=inner)
            x = recomputed(again, x) if gradient_checkpointing else again(x)
        return x if self.norm is None else self.norm(x)

    def prefill(
        self, x: Float[Tensor, "N D"], lengths: tuple[int, ...], *, memory: Ragged | None = None
    ) -> tuple[Float[Tensor, "N D"], DecoderState]:
        """Read whole prompts in one pass, and fill the KV cache; see `Block.prefill`."""
        memory_mask = None
        if memory is not None:
            memory_mask = spare_mask(memory.lengths, x.dtype, x.device)
        state = DecoderState([], [], BeamMask.of(lengths, x.dtype, x.device))
        context = self._context()
        for block in cast("Iterable[Block]", self.blocks):
            x, cache, crossing = block.prefill(
                x, lengths, context, memory=memory, memory_mask=memory_mask
            )
            state.caches.append(cache)
            state.cross_key_values.append(crossing)
        return (x if self.norm is None else self.norm(x)), state

    def step(
        self, x: Float[Tensor, "N D"], state: DecoderState
    ) -> tuple[Float[Tensor, "N D"], DecoderState]:
        """Read one new position of every hypothesis; see `Block.step`.

        The hypotheses of the first sequence come first. The state is consumed; its beam mask has
        grown already by the new positions.
        """
        context = StepContext(
            positions=state.beam_mask.newest,
            scores_added=state.beam_mask.scores_added(self.position_bias),
            rotary=self.rotary,
        )
        caches = []
        blocks = cast("Iterable[Block]", self.blocks)
        for block, cache, memory in zip(blocks, state.caches, state.cross_key_values, strict=True):
            x, grown = block.step(x, context, cache, memory)
            caches.append(grown)
        state = DecoderState(caches, state.cross_key_values, state.beam_mask)
        return (x if self.norm is None else self.norm(x)), state

    def _context(self) -> StackContext:
        return StackContext(
            is_causal=self.is_causal,
            rotary=self.rotary,
            bias=self.position_bias,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
        )


# What the names of their parameters begin with, in a `Transformer`.
HEAD_PREFIXES = ("pooler.", "classification.", "vocabulary.", "next_token.")


class ClassificationHead(nn.Module):
    """Turn the vector of a sequence into one number a class.

    The activation is that of a dense layer before the last, None where the body's pooler is that
    layer. `drops_pooled` lets dropout fall before the dense layer, too.
    """

    def __init__(
        self,
        hidden_size: int,
        num_classes: int,
        *,
        activation: str | None,
        dropout: float,
        drops_pooled: bool,
    ) -> None:
        super().__init__()
        self.dense = None if activation is None else nn.Linear(hidden_size, hidden_size)
        self.activation = None if activation is None else activation_named(activation)
        self.output = nn.Linear(hidden_size, num_classes)
        self.dropout = dropout
        self.drops_pooled = drops_pooled

    def forward(self, x: Float[Tensor, "B D"], noise: Noise | None = None) -> Float[Tensor, "B C"]:
        """Give the logits of every sequence."""
        if self.dense is not None and self.activation is not None:
            if self.drops_pooled and noise is not None:
                x = drop(x, self.dropout, noise.at("pooled"))
            x = self.activation(self.dense(x))
        if noise is not None:
            x = drop(x, self.dropout, noise.at("output"))
        return self.output(x)


class VocabularyHead(nn.Module):
    """Give logits for masked language modeling, at every position asked for.

    The last product uses the token table itself (tied weights), as BERT does.

    Source:
        Devlin et al. 2019, arXiv:1810.04805, section 3.1, task 1; Press & Wolf 2017,
        arXiv:1608.05859, for the tie.
    """

    def __init__(
        self, tokens: nn.Embedding, *, hidden_size: int, activation: str, norm_eps: float
    ) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.activation = activation_named(activation)
        self.norm = nn.LayerNorm(hidden_size, eps=norm_eps)
        self.output = nn.Linear(hidden_size, tokens.num_embeddings)
        self.output.weight = tokens.weight

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Give the logits over the vocabulary."""
        return self.output(self.norm(self.activation(self.dense(x))))


class NextTokenHead(nn.Module):
    """Give logits over the vocabulary for the token that comes next (language modeling).

    It multiplies by the decoder's token table itself where it is tied.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.4; Press & Wolf 2017, arXiv:1608.05859,
        for the tie; Raffel et al. 2020, arXiv:1910.10683, for a scale.
    """

    def __init__(
        self, tokens: nn.Embedding, *, is_tied: bool, bias: bool, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.output = nn.Linear(tokens.embedding_dim, tokens.num_embeddings, bias=bias)
        if is_tied:
            self.output.weight = tokens.weight
        self.scale = scale

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Give the logits over the vocabulary."""
        return self.output(x if self.scale == 1.0 else x * self.scale)
