"""Where a decoder stands: what `Transformer.start` gives and `Transformer.step` goes on from."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from zhixing.layers.block import Memory
from zhixing.layers.cache import Ancestry, LayerCache, Remembered, kept


@dataclass
class DecoderState:
    """Hold what a decoder remembers of B sequences, several hypotheses of each.

    A step consumes the state it is given, and the methods here change it in place.

    Attributes:
        caches: One a block.
        remembered: What each block needs of the encoder's output.
        ancestry: Which cells of the caches each hypothesis descends from.
    """

    caches: list[LayerCache]
    remembered: list[Remembered | None]
    ancestry: Ancestry

    @classmethod
    def begin(cls, remembered: list[Remembered | None], memory: Memory) -> "DecoderState":
        """Start with nothing written, and one hypothesis a sequence."""
        like = next(one.keys for one in remembered if one is not None)
        sequences = len(memory.lengths)
        empty = LayerCache.empty(like[0], sequences=sequences)
        ancestry = Ancestry.empty(sequences, memory.values.dtype, memory.values.device)
        return cls([empty] * len(remembered), remembered, ancestry)

    def descend(self, parents: Int[Tensor, "B W"]) -> None:
        """Go on from other hypotheses: for each sequence, which of its present ones."""
        self.ancestry.descend(parents)
        cells = self.ancestry.thin_out()
        if cells is not None:
            self.caches = [cache.take(cells) for cache in self.caches]

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences, in this order.

        What stays in its place is not copied: to drop few of many, move the last ones into the
        gaps.
        """
        self.caches = [cache.keep(order) for cache in self.caches]
        self.ancestry.keep(order)
        first = next((one for one in self.remembered if one is not None), None)
        if first is None:
            return
        mask = None if first.mask is None else kept(first.mask, order)
        self.remembered = [
            None if one is None else one.keep(order, mask) for one in self.remembered
        ]
