"""What a decoder remembers, so that its step reads only what is new.

Sequences are decoded side by side, and of each several hypotheses (a beam) may be alive. All
hypotheses of a sequence share one row of slots: a step adds one slot a hypothesis, and `visible`
says which slots each of them descends from. So choosing other hypotheses moves no keys and values;
from time to time slots from which nobody descends any more are dropped.

Cells come before sequences in memory: a step then writes one stretch, and reads whole stretches
without gaps. (With sequences first, 25 of 32 slots took twice the time to attend to.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zhixing.layers.positions import PositionBias
from zhixing.layers.ragged import starts

MIN_SLOTS = 32
# Fewer than this are attended to faster than they are thinned out.
MANY_SLOTS = 64


class KeyValueCache:
    """Hold one layer's keys and values of B sequences, with spare room behind each.

    `append` and `keep` consume the cache: they may write into the room in place, so that only what
    they return may be used afterwards.

    Attributes:
        keys, values: One slot a position and hypothesis.
        used: How many slots of each sequence hold something.
    """

    def __init__(
        self, keys: Float[Tensor, "R B H K"], values: Float[Tensor, "R B H K"], used: int
    ) -> None:
        self.keys = keys
        self.values = values
        self.used = used

    @classmethod
    def empty(cls, like: Float[Tensor, "N H K"], *, sequences: int) -> "KeyValueCache":
        """Start with nothing, for tensors of the shape, dtype and device of `like`."""
        room = like.new_zeros(0, sequences, *like.shape[1:])
        return cls(room, room, 0)

    def append(self, key: Float[Tensor, "N H K"], value: Float[Tensor, "N H K"]) -> "KeyValueCache":
        """Add one slot a hypothesis: those of the first sequence come first.

        Room is doubled when it is used up, so that a text of n tokens costs O(n) copies.
        """
        count = self.keys.size(1)
        new = len(key) // count
        keys, values = (_with_room(x, self.used, new) for x in (self.keys, self.values))
        for room, slots in ((keys, key), (values, value)):
            own = slots.view(count, new, *slots.shape[1:]).transpose(0, 1)
            room.narrow(0, self.used, new).copy_(own)
        return KeyValueCache(keys, values, self.used + new)

    def take(self, index: Int[Tensor, "B S"]) -> "KeyValueCache":
        """Keep some slots of each sequence; see `BeamMask.prune`."""
        rows = torch.arange(len(index), device=index.device)
        keys, values = (x[index.T, rows] for x in (self.keys, self.values))
        return KeyValueCache(keys, values, len(keys))

    @property
    def slots(self) -> tuple[Float[Tensor, "S B H K"], Float[Tensor, "S B H K"]]:
        """Give keys and values without the spare room."""
        return self.keys[: self.used], self.values[: self.used]

    def keep(self, order: Sequence[int]) -> "KeyValueCache":
        """Go on with some of the sequences, in this order; see `kept`."""
        keys, values = (kept(x.transpose(0, 1), order) for x in (self.keys, self.values))
        return KeyValueCache(keys.transpose(0, 1), values.transpose(0, 1), self.used)


@dataclass(frozen=True)
class CrossKeyValues:
    """Keys and values of an encoder's output, of one layer, laid side by side.

    Attributes:
        keys, values: Of every position of the memory; spare ones repeat the last.
        mask: What is added to scores: minus infinity at spare positions; None if there are none.
    """

    keys: Float[Tensor, "S B H K"]
    values: Float[Tensor, "S B H K"]
    mask: Float[Tensor, "B 1 1 S"] | None

    @classmethod
    def of(
        cls,
        key: Float[Tensor, "M H K"],
        value: Float[Tensor, "M H K"],
        lengths: tuple[int, ...],
        mask: Float[Tensor, "B 1 1 S"] | None,
    ) -> "CrossKeyValues":
        """Lay sequences side by side.

        Args:
            key: Of all positions.
            value: Of all positions.
            lengths: Of the sequences.
            mask: `spare_mask` of the lengths.
        """
        first = torch.tensor(starts(lengths))
        last = torch.tensor(lengths) - 1
        longest = max(lengths)
        places = (first + torch.arange(longest).unsqueeze(-1).minimum(last)).to(key.device)
        return cls(key[places], value[places], mask)

    def keep(self, order: Sequence[int], mask: Float[Tensor, "B 1 1 S"] | None) -> "CrossKeyValues":
        """Go on with some of the sequences, in this order; see `kept`.

        Args:
            order: Which go on.
            mask: Of those that go on; all layers share one.
        """
        keys, values = (kept(x.transpose(0, 1), order) for x in (self.keys, self.values))
        return CrossKeyValues(keys.transpose(0, 1), values.transpose(0, 1), mask)


def spare_mask(
    lengths: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "B 1 1 S"] | None:
    """Give what hides the spare positions of sequences laid side by side; None if none is."""
    if min(lengths) == max(lengths):
        return None
    is_spare = torch.arange(max(lengths)) >= torch.tensor(lengths).unsqueeze(-1)
    mask = torch.zeros(is_spare.shape, dtype=dtype).masked_fill_(is_spare, -torch.inf)
    return mask[:, None, None, :].to(device)


@dataclass
class BeamMask:
    """Tell which slots each hypothesis descends from, and at which position each slot stands.

    Attributes:
        mask: What is added to scores: 0 where a hypothesis sees a slot, else minus infinity.
        positions: Of every slot, in its sequence.
        used: How many slots there are.
        width: Hypotheses of each sequence.
        position: That of the next token.
        limit: With more slots than this, those that nobody sees are dropped.
    """

    mask: Float[Tensor, "B W S"]
    positions: Int[Tensor, "B S"]
    used: int = 0
    width: int = 1
    position: int = 0
    limit: int = 0

    @classmethod
    def empty(cls, sequences: int, dtype: torch.dtype, device: torch.device) -> "BeamMask":
        """Start with one hypothesis a sequence, and no slots."""
        mask = torch.zeros(sequences, 1, 0, dtype=dtype, device=device)
        positions = torch.zeros(sequences, 0, dtype=torch.int64, device=device)
        return cls(mask, positions, limit=MANY_SLOTS)

    def grow(self) -> None:
        """Add one slot a hypothesis, which it alone sees."""
        if self.width > 1 or self._has_hidden:
            own = torch.full((self.width, self.width), -torch.inf, dtype=self.mask.dtype)
            own = own.fill_diagonal_(0.0).to(self.mask.device).expand(len(self.mask), -1, -1)
            self.mask = torch.cat((self.mask, own), 2)
        new = self.positions.new_full((len(self.positions), self.width), self.position)
        self.positions = torch.cat((self.positions, new), 1)
        self.position += 1
        self.used += self.width

    def scores_added(self, bias: PositionBias | None) -> Float[Tensor, "#B #H W S"] | None:
        """Give what is added to the newest positions' scores; None where it is nothing.

        Args:
            bias: Turns distances into numbers.
        """
        mask = self.mask[:, None] if self._has_hidden else None
        if bias is None:
            return mask
        places = bias(self.positions - (self.position - 1)).to(self.mask.dtype)
        places = places.transpose(0, 1).unsqueeze(2)
        return places if mask is None else places + mask

    def descend(self, parents: Int[Tensor, "B W"]) -> None:
        """Go on from other hypotheses: for each sequence, which of its present ones."""
        width = parents.size(1)
        if not self._has_hidden:
            if width == 1:
                return
            self.mask = self.mask.new_zeros(len(parents), self.width, self.used)
        index = parents.unsqueeze(-1).expand(-1, -1, self.used)
        self.mask = self.mask.gather(1, index)
        self.width = width

    def prune(self) -> Int[Tensor, "B S"] | None:
        """Drop slots that no hypothesis sees, once there are many; give which slots stay, if so.

        The hypotheses of a beam descend from few: after n steps they see little more than n slots
        together, of n times as many as they are.
        """
        if not self._has_hidden or self.used <= self.limit:
            return None
        is_seen = (self.mask == 0).any(1)
        most = int(is_seen.sum(1).max())
        self.limit = max(MANY_SLOTS, 2 * most)
        if most == self.used:
            return None
        index = is_seen.logical_not().byte().argsort(dim=1, stable=True)[:, :most]
        self.mask = self.mask.gather(2, index.unsqueeze(1).expand(-1, self.width, -1))
        self.positions = self.positions.gather(1, index)
        self.used = most
        return index

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences; see `kept`."""
        self.mask, self.positions = kept(self.mask, order), kept(self.positions, order)

    @property
    def _has_hidden(self) -> bool:
        return self.mask.size(2) > 0


def kept(x: Tensor, order: Sequence[int]) -> Tensor:
    """Take some rows in a given order, writing over the tensor: those that stay are not copied.

    Args:
        x: One row a sequence; it is consumed.
        order: Which rows go on. The fewer that change their place, the less is copied.
    """
    moved = [(to, source) for to, source in enumerate(order) if to != source]
    if moved:
        to, source = (torch.tensor(side, device=x.device) for side in zip(*moved, strict=True))
        x[to] = x[source]
    return x[: len(order)]


def _with_room(x: Tensor, used: int, new: int) -> Tensor:
    """Give room for new slots behind those that are used; what is in the room is undefined."""
    if len(x) >= used + new:
        return x
    room = x.new_empty(max(used + new, 2 * len(x), MIN_SLOTS * new), *x.shape[1:])
    room[:used] = x[:used]
    return room
