"""The best of very many scores: over a vocabulary, in few passes through the memory."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

# Stands for a score that nobody has.
NO_SCORE = -1e9

# Scores that are first reduced to their largest, which is vectorized; sorting is not.
BLOCK = 128
# Numbers below this are apart by less than a hundred-thousandth.
LARGE = 64.0
# Rows whose exponentials stay in a core's second-level cache with sixty thousand scores each.
ROWS = 4


@dataclass(frozen=True)
class Best:
    """The largest scores of every row, and where they stand.

    Attributes:
        scores: The largest first.
        ids: Their places.
    """

    scores: Float[Tensor, "N C"]
    ids: Int[Tensor, "N C"]


@dataclass(frozen=True)
class BestJoined:
    """The largest scores of several rows together, for each of B groups of rows.

    Attributes:
        scores: What was added left out; `NO_SCORE` twice where a group has too few.
        rows: Of which row of the group each is.
        ids: Their places in that row.
    """

    scores: Float[Tensor, "B C"]
    rows: Int[Tensor, "B C"]
    ids: Int[Tensor, "B C"]


def best_scores(scores: Float[Tensor, "N V"], count: int) -> Best:
    """Give the `count` largest scores of every row, or all; of equal ones, any."""
    nothing = scores.new_zeros(len(scores), 1)
    best = best_joined(scores.unsqueeze(1), nothing, min(count, scores.size(-1)))
    return Best(best.scores, best.ids)


def best_joined(
    scores: Float[Tensor, "B W V"], added: Float[Tensor, "B W"], count: int
) -> BestJoined:
    """Give the `count` largest scores of every group of rows, the largest first.

    What is added to each row counts when they are ranked.

    A score among the largest stands in one of as many blocks with the largest maxima, so only
    those are sorted.
    """
    groups, width, size = scores.shape
    whole = size // BLOCK
    if count * BLOCK * 2 >= size:
        places = torch.arange(width * size, device=scores.device).expand(groups, -1)
    else:
        maxima = scores[..., : whole * BLOCK].view(groups, width, whole, BLOCK).amax(-1)
        chosen = (maxima + added.unsqueeze(-1)).flatten(1).topk(count).indices
        first = chosen.div(whole, rounding_mode="floor") * size + chosen % whole * BLOCK
        inside = torch.arange(BLOCK, device=scores.device)
        # The last, smaller block of every row is always looked at.
        rest = torch.arange(whole * BLOCK, size, device=scores.device)
        ends = torch.arange(width, device=scores.device).unsqueeze(-1) * size + rest
        places = torch.cat(
            ((first.unsqueeze(-1) + inside).flatten(1), ends.flatten().expand(groups, -1)), 1
        )
    spare = (0, max(count - places.size(1), 0))
    values = functional.pad(scores.flatten(1).gather(1, places), spare, value=2 * NO_SCORE)
    places = functional.pad(places, spare)
    rows = places.div(size, rounding_mode="floor")
    best = (values + added.gather(1, rows)).topk(count).indices
    values, rows, ids = (x.gather(1, best) for x in (values, rows, places % size))
    return BestJoined(values, rows, ids)


def log_totals(scores: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """Give the logarithm of the sum of the exponentials of every row.

    It is how far the log-softmax, one pass of a vectorized kernel, moves each row.
    """
    first = scores[:, 0]
    moved = torch.cat([part.log_softmax(-1)[:, 0] for part in scores.split(ROWS)])
    # Where a row's first score is huge, its digits would be lost.
    is_exact = (first.abs() < LARGE) & (moved.abs() < LARGE)
    return first - moved if bool(is_exact.all()) else scores.logsumexp(-1)
