"""The state of decoding, KV cache and beam mask: `Transformer.start` gives it, `step` goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from zhixing.layers.cache import BeamMask, CrossKeyValues, KeyValueCache, kept


@dataclass
class DecoderState:
    """Hold the KV cache of a decoder over B sequences, several hypotheses of each.

    A step consumes the state it is given, and the methods here change it in place.

    Attributes:
        caches: One a block.
        cross_key_values: What the cross-attention of each block needs of the encoder's output;
            None where a decoder stands alone.
        beam_mask: Which slots of the caches each hypothesis descends from.
    """

    caches: list[KeyValueCache]
    cross_key_values: list[CrossKeyValues | None]
    beam_mask: BeamMask

    def descend(self, parents: Int[Tensor, "B W"]) -> None:
        """Go on from other hypotheses: for each sequence, which of its present ones."""
        self.beam_mask.descend(parents)
        slots = self.beam_mask.prune()
        if slots is not None:
            self.caches = [cache.take(slots) for cache in self.caches]

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences, in this order.

        What stays in its place is not copied: to drop few of many, move the last ones into the
        gaps.
        """
        self.caches = [cache.keep(order) for cache in self.caches]
        self.beam_mask.keep(order)
        # All blocks share one mask, and `kept` consumes it.
        masks = [block.mask for block in self.cross_key_values if block is not None]
        mask = kept(masks[0], order) if masks and masks[0] is not None else None
        self.cross_key_values = [
            None if block is None else block.keep(order, mask) for block in self.cross_key_values
        ]
