"""What a decoder remembers, so that its step reads only what is new.

Sequences are decoded side by side, and of each several hypotheses (a beam) may be alive. All
hypotheses of a sequence share one row of cells: a step adds one cell a hypothesis, and `visible`
says which cells each of them descends from. So choosing other hypotheses moves no keys and values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zhixing.layers.positions import PositionBias
from zhixing.layers.ragged import starts

FEWEST_CELLS = 32


class LayerCache:
    """Hold one layer's keys and values of B sequences, with spare room behind each.

    `append` and `keep` consume the cache: they may write into the room in place, so that only what
    they return may be used afterwards.

    Attributes:
        keys, values: One cell a position and hypothesis.
        used: How many cells of each sequence hold something.
    """

    def __init__(
        self, keys: Float[Tensor, "B H R K"], values: Float[Tensor, "B H R K"], used: int
    ) -> None:
        self.keys = keys
        self.values = values
        self.used = used

    @classmethod
    def empty(cls, like: Float[Tensor, "N H K"], *, sequences: int) -> "LayerCache":
        """Start with nothing, for tensors of the shape, dtype and device of `like`."""
        room = like.new_zeros(sequences, like.size(1), 0, like.size(2))
        return cls(room, room, 0)

    def append(self, key: Float[Tensor, "N H K"], value: Float[Tensor, "N H K"]) -> "LayerCache":
        """Add one cell a hypothesis: those of the first sequence come first.

        Room is doubled when it is used up, so that a text of n tokens costs O(n) copies.
        """
        count = self.keys.size(0)
        new = len(key) // count
        used = self.used + new
        keys, values = (_with_room(x, used, FEWEST_CELLS * new) for x in (self.keys, self.values))
        for room, cells in ((keys, key), (values, value)):
            room[:, :, self.used : used] = cells.view(count, new, *cells.shape[1:]).transpose(1, 2)
        return LayerCache(keys, values, used)

    @property
    def cells(self) -> tuple[Float[Tensor, "B H S K"], Float[Tensor, "B H S K"]]:
        """Give keys and values without the spare room."""
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]

    def keep(self, order: Sequence[int]) -> "LayerCache":
        """Go on with some of the sequences, in this order; see `kept`."""
        return LayerCache(kept(self.keys, order), kept(self.values, order), self.used)


@dataclass(frozen=True)
class Remembered:
    """Keys and values of an encoder's output, of one layer, laid side by side.

    Attributes:
        keys, values: Of every position of the memory; spare ones repeat the last.
        mask: What is added to scores: minus infinity at spare positions; None if there are none.
    """

    keys: Float[Tensor, "B H S K"]
    values: Float[Tensor, "B H S K"]
    mask: Float[Tensor, "B 1 1 S"] | None

    @classmethod
    def of(
        cls,
        key: Float[Tensor, "M H K"],
        value: Float[Tensor, "M H K"],
        lengths: tuple[int, ...],
        mask: Float[Tensor, "B 1 1 S"] | None,
    ) -> "Remembered":
        """Lay sequences side by side.

        Args:
            key: Of all positions.
            value: Of all positions.
            lengths: Of the sequences.
            mask: `spare_mask` of the lengths.
        """
        if mask is None:
            shape = (len(lengths), lengths[0], *key.shape[1:])
            keys, values = (x.view(shape).transpose(1, 2).contiguous() for x in (key, value))
            return cls(keys, values, None)
        first = torch.tensor(starts(lengths)).unsqueeze(-1)
        last = torch.tensor(lengths).unsqueeze(-1) - 1
        places = (first + torch.arange(mask.size(-1)).minimum(last)).to(key.device)
        keys, values = (x[places].transpose(1, 2).contiguous() for x in (key, value))
        return cls(keys, values, mask)


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
class Ancestry:
    """Tell which cells each hypothesis descends from, and at which position each cell stands.

    Attributes:
        mask: What is added to scores: 0 where a hypothesis sees a cell, else minus infinity.
        positions: Of every cell, in its sequence.
        used: How many cells there are.
        width: Hypotheses of each sequence.
        position: That of the next token.
    """

    mask: Float[Tensor, "B W R"]
    positions: list[int] = field(default_factory=list)
    used: int = 0
    width: int = 1
    position: int = 0

    @classmethod
    def empty(cls, sequences: int, dtype: torch.dtype, device: torch.device) -> "Ancestry":
        """Start with one hypothesis a sequence, and no cells."""
        return cls(torch.zeros(sequences, 1, 0, dtype=dtype, device=device))

    def grow(self) -> None:
        """Add one cell a hypothesis, which it alone sees."""
        used = self.used + self.width
        if self.width > 1 or self._has_hidden:
            self.mask = _with_room(self.mask, used, FEWEST_CELLS * self.width)
            own = torch.full((self.width, self.width), -torch.inf, dtype=self.mask.dtype)
            self.mask[:, :, self.used : used] = own.fill_diagonal_(0.0).to(self.mask.device)
        self.positions += [self.position] * self.width
        self.position += 1
        self.used = used

    def scores_added(self, bias: PositionBias | None) -> Float[Tensor, "#B #H W S"] | None:
        """Give what is added to the newest positions' scores; None where it is nothing.

        Args:
            bias: Turns distances into numbers.
        """
        mask = self.mask[:, None, :, : self.used] if self._has_hidden else None
        if bias is None:
            return mask
        positions = torch.tensor(self.positions, device=self.mask.device)
        places = bias((positions - (self.position - 1)).unsqueeze(0)).to(self.mask.dtype)
        return places.unsqueeze(0) if mask is None else places + mask

    def descend(self, parents: Int[Tensor, "B W"]) -> None:
        """Go on from other hypotheses: for each sequence, which of its present ones."""
        width = parents.size(1)
        if not self._has_hidden:
            if width == 1:
                return
            self.mask = self.mask.new_zeros(len(parents), self.width, self.used)
        index = parents.unsqueeze(-1).expand(-1, -1, self.used)
        self.mask = self.mask[:, :, : self.used].gather(1, index)
        self.width = width

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences; see `kept`."""
        self.mask = kept(self.mask, order)

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


def _with_room(x: Tensor, used: int, least: int) -> Tensor:
    """Give at least `used` cells in the dimension of cells, the last but one or the last."""
    place = 2
    if x.size(place) >= used:
        return x
    more = max(used, 2 * x.size(place), least) - x.size(place)
    shape = [*x.shape[:place], more, *x.shape[place + 1 :]]
    return torch.cat((x, x.new_zeros(shape)), place)
