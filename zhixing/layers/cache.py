"""Keys and values already computed, so that a decoder's step reads only what is new."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.layers.ragged import position_numbers


class LayerCache:
    """Hold one layer's keys and values of B sequences, with spare room behind each.

    `append` consumes the cache: it may write into the room in place, so that only what it returns
    may be used afterwards.
    """

    def __init__(
        self,
        keys: Float[Tensor, "B R H K"],
        values: Float[Tensor, "B R H K"],
        lengths: tuple[int, ...],
    ) -> None:
        self.keys = keys
        self.values = values
        self.lengths = lengths

    @classmethod
    def empty(cls, like: Float[Tensor, "N H K"], *, sequences: int) -> "LayerCache":
        """Start with nothing, for tensors of the shape, dtype and device of `like`."""
        room = like.new_zeros(sequences, 0, *like.shape[1:])
        return cls(room, room, (0,) * sequences)

    def append(
        self,
        key: Float[Tensor, "N H K"],
        value: Float[Tensor, "N H K"],
        lengths: tuple[int, ...],
    ) -> "LayerCache":
        """Add new positions at the end of each sequence.

        Room is doubled when it is used up, so that a text of n tokens costs O(n) copies.
        """
        total = tuple(a + b for a, b in zip(self.lengths, lengths, strict=True))
        keys, values = self.keys, self.values
        if max(total) > keys.size(1):
            more = max(max(total), 2 * keys.size(1)) - keys.size(1)
            room = keys.new_zeros(keys.size(0), more, *keys.shape[2:])
            keys, values = torch.cat((keys, room), 1), torch.cat((values, room), 1)
        counts = torch.tensor(lengths)
        owner = torch.arange(len(lengths)).repeat_interleave(counts)
        place = position_numbers(lengths, torch.device("cpu")) + torch.tensor(self.lengths)[owner]
        keys[owner, place], values[owner, place] = key, value
        return LayerCache(keys, values, total)

    def ragged(self) -> tuple[Float[Tensor, "M H K"], Float[Tensor, "M H K"]]:
        """Give all keys and values, sequences end to end."""
        owner = torch.arange(len(self.lengths)).repeat_interleave(torch.tensor(self.lengths))
        place = position_numbers(self.lengths, torch.device("cpu"))
        return self.keys[owner, place], self.values[owner, place]

    def reorder(self, sequences: Sequence[int]) -> "LayerCache":
        """Take some sequences, in this order, some perhaps twice: what beam search needs."""
        index = torch.tensor(list(sequences), device=self.keys.device)
        lengths = tuple(self.lengths[i] for i in sequences)
        return LayerCache(self.keys[index], self.values[index], lengths)
