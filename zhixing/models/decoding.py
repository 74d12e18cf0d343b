"""Where a decoder stands: what `Transformer.start` gives and `Transformer.step` goes on from."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from zhixing.layers.block import Memory
from zhixing.layers.cache import BeamMask, CrossKeyValues, KeyValueCache, kept


@dataclass
class DecoderState:
    """Hold what a decoder remembers of B sequences, several hypotheses of each.

    A step consumes the state it is given, and the methods here change it in place.

    Attributes:
        caches: One a block.
        cross_key_values: What each block needs of the encoder's output.
        beam_mask: Which slots of the caches each hypothesis descends from.
    """

    caches: list[KeyValueCache]
    cross_key_values: list[CrossKeyValues | None]
    beam_mask: BeamMask

    @classmethod
    def begin(cls, cross_key_values: list[CrossKeyValues | None], memory: Memory) -> "DecoderState":
        """Start with nothing written, and one hypothesis a sequence."""
        like = next(one.keys for one in cross_key_values if one is not None)
        sequences = len(memory.lengths)
        empty = KeyValueCache.empty(like[0], sequences=sequences)
        beam_mask = BeamMask.empty(sequences, memory.values.dtype, memory.values.device)
        return cls([empty] * len(cross_key_values), cross_key_values, beam_mask)

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
        first = next((one for one in self.cross_key_values if one is not None), None)
        if first is None:
            return
        mask = None if first.mask is None else kept(first.mask, order)
        self.cross_key_values = [
            None if one is None else one.keep(order, mask) for one in self.cross_key_values
        ]
