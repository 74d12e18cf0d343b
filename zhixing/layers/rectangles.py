"""Sequences of nearly equal length laid side by side, as fused attention kernels want them."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from zhixing.layers.ragged import starts

# A rectangle costs one kernel call, which is worth about this many scores that are computed for
# nothing; measured with 12 heads of 32 on two cores, flat between 1,000 and 8,000.
SPARE_SCORES = 2048


@dataclass(frozen=True)
class Group:
    """Sequences that are computed as one rectangle.

    Attributes:
        sequences: Which of the batch.
        own: Own positions of the longest.
        attended: Attended positions of the longest.
        start, attended_start: Where they lie, if they lie in a row and are all equally long.
    """

    sequences: tuple[int, ...]
    own: int
    attended: int
    start: int | None
    attended_start: int | None

    @property
    def is_solid(self) -> bool:
        """Tell whether the rectangle is a plain view of the batch."""
        return self.start is not None


@lru_cache(maxsize=256)
def plan_groups(
    lengths: tuple[int, ...], attended_lengths: tuple[int, ...], *, same_offset: bool
) -> tuple[Group, ...]:
    """Part a batch into rectangles: few calls, few scores computed for nothing.

    Args:
        lengths: Own positions of each sequence.
        attended_lengths: Attended positions of each sequence.
        same_offset: Join only sequences whose two lengths differ by the same number, which a bias
            by distance needs.

    Returns:
        Groups, the longest sequences first.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], -attended_lengths[i], i))
    groups: list[list[int]] = []
    for i in order:
        if groups:
            head = groups[-1][0]
            own, attended = lengths[head], attended_lengths[head]
            spare = max(own * attended - lengths[i] * attended_lengths[i], 0)
            fits = attended_lengths[i] <= attended and spare <= SPARE_SCORES
            if same_offset and own - attended != lengths[i] - attended_lengths[i]:
                fits = False
            if fits:
                groups[-1].append(i)
                continue
        groups.append([i])
    return tuple(_group(tuple(g), lengths, attended_lengths) for g in groups)


def _group(
    members: tuple[int, ...], lengths: tuple[int, ...], attended_lengths: tuple[int, ...]
) -> Group:
    own, attended = lengths[members[0]], attended_lengths[members[0]]
    first = min(members)
    in_a_row = sorted(members) == list(range(first, first + len(members)))
    equal = all(lengths[i] == own and attended_lengths[i] == attended for i in members)
    if not (in_a_row and equal):
        return Group(members, own, attended, None, None)
    row = tuple(range(first, first + len(members)))
    return Group(row, own, attended, starts(lengths)[first], starts(attended_lengths)[first])


@lru_cache(maxsize=512)
# A prediction may be the first to ask, and what is kept has to serve training too.
@torch.inference_mode(mode=False)
def _rows(lengths: tuple[int, ...], sequences: tuple[int, ...], width: int) -> Int[Tensor, " R"]:
    """Tell where each cell of a rectangle lies in the batch; spare cells repeat the last row."""
    first = torch.tensor([starts(lengths)[i] for i in sequences]).unsqueeze(-1)
    last = torch.tensor([lengths[i] - 1 for i in sequences]).unsqueeze(-1)
    return (first + torch.arange(width).minimum(last)).flatten()


@lru_cache(maxsize=512)
# A prediction may be the first to ask, and what is kept has to serve training too.
@torch.inference_mode(mode=False)
def cells_of_rows(lengths: tuple[int, ...], groups: tuple[Group, ...]) -> Int[Tensor, " N"]:
    """Tell, for each row of the batch, which cell of the rectangles holds it."""
    found = torch.empty(sum(lengths), dtype=torch.int64)
    before = 0
    for group in groups:
        for place, i in enumerate(group.sequences):
            first = starts(lengths)[i]
            cell = before + place * group.own
            found[first : first + lengths[i]] = torch.arange(cell, cell + lengths[i])
        before += len(group.sequences) * group.own
    return found


def allowed_scores(
    group: Group, lengths: tuple[int, ...], attended_lengths: tuple[int, ...], is_causal: bool
) -> Bool[Tensor, "B 1 T S"]:
    """Tell which scores of a rectangle count; a spare own position counts somewhere too."""
    attended = torch.tensor([attended_lengths[i] for i in group.sequences])[:, None, None]
    columns = torch.arange(group.attended)
    allowed = (columns < attended).expand(-1, group.own, -1)
    if is_causal:
        own = torch.tensor([lengths[i] for i in group.sequences])[:, None, None]
        rows = torch.arange(group.own)[:, None]
        allowed = allowed & (columns <= rows + attended - own)
    return allowed.unsqueeze(1)


def rectangle(
    x: Float[Tensor, "N H K"],
    lengths: tuple[int, ...],
    sequences: tuple[int, ...],
    width: int,
    start: int | None,
) -> Float[Tensor, "B H T K"]:
    """Lay sequences side by side: a view where they lie in a row, else a copy."""
    count = len(sequences)
    if start is not None:
        cells = x[start : start + count * width]
    else:
        cells = x.index_select(0, _rows(lengths, sequences, width).to(x.device))
    return cells.view(count, width, *x.shape[1:]).transpose(1, 2)
