"""The KV cache of a decoder: a step reads only what is new; hypotheses of a beam share slots.

Sequences are decoded side by side, and of each several hypotheses (a beam) may be alive. All
hypotheses of a sequence share one row of slots: the prefill fills one slot a position of the
prompt, a step adds one slot a hypothesis, and `BeamMask` says which slots each of them descends
from. So choosing other hypotheses moves no keys and values; from time to time slots from which
nobody descends any more are dropped.

Slots come before sequences in memory: a step then writes one stretch, and reads whole stretches
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
# So many are attended to faster than they are thinned out.
MAX_UNPRUNED_SLOTS = 64


class KeyValueCache:
    """The KV cache of one layer: keys and values of B sequences, with spare room behind each.

    `append` and `keep` consume the cache: they may write into the room in place, so that only what
    they return may be used afterwards.

    Attributes:
        keys, values: One slot a position and hypothesis, with the key/value heads alone.
        used: How many slots of each sequence hold something.
    """

    def __init__(
        self, keys: Float[Tensor, "R B G K"], values: Float[Tensor, "R B G K"], used: int
    ) -> None:
        self.keys = keys
        self.values = values
        self.used = used

    @classmethod
    def of(
        cls, key: Float[Tensor, "N G K"], value: Float[Tensor, "N G K"], lengths: tuple[int, ...]
    ) -> "KeyValueCache":
        """Remember prompts that were read in one pass (prefill); `BeamMask` hides spare slots."""
        keys, values = (_side_by_side(x, lengths) for x in (key, value))
        return cls(keys, values, len(keys))

    def append(self, key: Float[Tensor, "N G K"], value: Float[Tensor, "N G K"]) -> "KeyValueCache":
        """Add one slot a hypothesis: those of the first sequence come first.

        Room is doubled when it is used up, so that a text of n tokens costs O(n) copies.
        """
        count = self.keys.size(1)
        new = len(key) // count
        keys, values = (_with_room(x, self.used, new) for x in (self.keys, self.values))
        for room, slots in ((keys, key), (values, value)):
            by_slot = slots.view(count, new, *slots.shape[1:]).transpose(0, 1)
            room.narrow(0, self.used, new).copy_(by_slot)
        return KeyValueCache(keys, values, self.used + new)

    def take(self, index: Int[Tensor, "B S"]) -> "KeyValueCache":
        """Keep some slots of each sequence; see `BeamMask.prune`."""
        rows = torch.arange(len(index), device=index.device)
        keys, values = (x[index.T, rows] for x in (self.keys, self.values))
        return KeyValueCache(keys, values, len(keys))

    @property
    def slots(self) -> tuple[Float[Tensor, "S B G K"], Float[Tensor, "S B G K"]]:
        """Give keys and values without the spare room."""
        return self.keys[: self.used], self.values[: self.used]

    def keep(self, order: Sequence[int]) -> "KeyValueCache":
        """Go on with some of the sequences, in this order; see `kept`."""
        keys, values = (kept(x.transpose(0, 1), order) for x in (self.keys, self.values))
        return KeyValueCache(keys.transpose(0, 1), values.transpose(0, 1), self.used)


@dataclass(frozen=True)
class CrossKeyValues:
    """The cross-attention's part of the KV cache: one layer's keys and values of the memory.

    Attributes:
        keys, values: Of every position of the memory; spare ones repeat the last.
        mask: What is added to scores: minus infinity at spare positions; None if there are none.
    """

    keys: Float[Tensor, "S B G K"]
    values: Float[Tensor, "S B G K"]
    mask: Float[Tensor, "B 1 1 S"] | None

    @classmethod
    def of(
        cls,
        key: Float[Tensor, "M G K"],
        value: Float[Tensor, "M G K"],
        lengths: tuple[int, ...],
        mask: Float[Tensor, "B 1 1 S"] | None,
    ) -> "CrossKeyValues":
        """Lay sequences side by side; the mask is `spare_mask` of their lengths."""
        return cls(_side_by_side(key, lengths), _side_by_side(value, lengths), mask)

    def keep(self, order: Sequence[int], mask: Float[Tensor, "B 1 1 S"] | None) -> "CrossKeyValues":
        """Go on with some of the sequences, in this order, and their mask, which layers share."""
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
    """The attention mask of a step: which slots each hypothesis of a beam descends from.

    Attributes:
        mask: What is added to scores: 0 where a hypothesis sees a slot, else minus infinity; None
            while every hypothesis sees all.
        positions: Of every slot, in its sequence.
        next_positions: Of the next token of each sequence. On the CPU wherever the rest is, so
            that nothing has to wait for a device to learn the longest.
        used: How many slots there are.
        dtype: Of what is added to scores.
        width: Hypotheses of each sequence.
        limit: With more slots than this, those that nobody sees are dropped.
    """

    mask: Float[Tensor, "B W S"] | None
    positions: Int[Tensor, "B S"]
    next_positions: Int[Tensor, " B"]
    used: int
    dtype: torch.dtype
    width: int = 1
    limit: int = MAX_UNPRUNED_SLOTS

    @classmethod
    def of(cls, lengths: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> "BeamMask":
        """Start after a prefill: one hypothesis a sequence, which sees its prompt and no more."""
        longest = max(lengths)
        spare = spare_mask(lengths, dtype, device)
        positions = torch.arange(longest, device=device).repeat(len(lengths), 1)
        mask = None if spare is None else spare[:, 0]
        return cls(mask, positions, torch.tensor(lengths), used=longest, dtype=dtype)

    def grow(self) -> None:
        """Add one slot a hypothesis, which it alone sees, at its sequence's next position."""
        if self.mask is not None:
            new = torch.full((self.width, self.width), -torch.inf, dtype=self.dtype)
            new = new.fill_diagonal_(0.0).to(self.mask.device).expand(len(self.mask), -1, -1)
            self.mask = torch.cat((self.mask, new), 2)
        newest = self.next_positions.to(self.positions.device).unsqueeze(1)
        self.positions = torch.cat((self.positions, newest.expand(-1, self.width)), 1)
        self.next_positions = self.next_positions + 1
        self.used += self.width

    @property
    def newest(self) -> Int[Tensor, " N"]:
        """Give the positions of the newest tokens, one a hypothesis."""
        return self.positions[:, -self.width :].flatten()

    def scores_added(self, bias: PositionBias | None) -> Float[Tensor, "#B #H W S"] | None:
        """Give what is added to the newest positions' scores; None where it is nothing."""
        mask = None if self.mask is None else self.mask[:, None]
        if bias is None:
            return mask
        by_distance = bias(self.positions - self.positions[:, -1:]).to(self.dtype)
        by_distance = by_distance.transpose(0, 1).unsqueeze(2)
        return by_distance if mask is None else by_distance + mask

    def descend(self, parents: Int[Tensor, "B W"]) -> None:
        """Go on from other hypotheses: for each sequence, which of its present ones."""
        if self.mask is None:
            if parents.size(1) == 1:
                return
            shape = (len(parents), self.width, self.used)
            self.mask = torch.zeros(shape, dtype=self.dtype, device=parents.device)
        index = parents.unsqueeze(-1).expand(-1, -1, self.used)
        self.mask = self.mask.gather(1, index)
        self.width = parents.size(1)

    def prune(self) -> Int[Tensor, "B S"] | None:
        """Drop slots that no hypothesis sees, once there are many; give which slots stay, if so.

        The hypotheses of a beam descend from few: after n steps they see little more than n slots
        together, of n times as many as they are.
        """
        if self.mask is None or self.used <= self.limit:
            return None
        is_seen = (self.mask == 0).any(1)
        most = int(is_seen.sum(1).max())
        self.limit = max(MAX_UNPRUNED_SLOTS, 2 * most)
        if most == self.used:
            return None
        index = is_seen.logical_not().byte().argsort(dim=1, stable=True)[:, :most]
        self.mask = self.mask.gather(2, index.unsqueeze(1).expand(-1, self.width, -1))
        self.positions = self.positions.gather(1, index)
        self.used = most
        return index

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences; see `kept`."""
        self.mask = None if self.mask is None else kept(self.mask, order)
        self.positions = kept(self.positions, order)
        self.next_positions = kept(self.next_positions, order)


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


def _side_by_side(x: Float[Tensor, "N G K"], lengths: tuple[int, ...]) -> Float[Tensor, "S B G K"]:
    """Lay sequences side by side; spare slots repeat the last position, and are hidden by masks."""
    first = torch.tensor(starts(lengths))
    last = torch.tensor(lengths) - 1
    rows = first + torch.arange(max(lengths)).unsqueeze(-1).minimum(last)
    return x[rows.to(x.device)]


def _with_room(x: Tensor, used: int, new: int) -> Tensor:
    """Give room for new slots behind those that are used; what is in the room is undefined."""
    if len(x) >= used + new:
        return x
    room = x.new_empty(max(used + new, 2 * len(x), MIN_SLOTS * new), *x.shape[1:])
    room[:used] = x[:used]
    return room
