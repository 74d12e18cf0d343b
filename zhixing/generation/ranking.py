"""Length penalty, top-k and log-softmax over a vocabulary, in few passes through the memory."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

# Stands for a score that nobody has.
NO_SCORE = -1e9

Score = TypeVar("Score", float, Tensor)

# Scores that are first reduced to their largest, which is vectorized; sorting is not.
BLOCK_SIZE = 128
# Numbers below this are apart by less than a hundred-thousandth.
MAX_EXACT_SCORE = 64.0
# Rows whose exponentials stay in a core's second-level cache with sixty thousand scores each.
ROWS_IN_CACHE = 4


@dataclass(frozen=True)
class BestJoined:
    """The largest scores of several rows together, for each of B groups of rows.

    Attributes:
        scores: What was added left out; `NO_SCORE` twice where a group has too few.
        rows: Of which row of the group each is.
        ids: Their numbers in that row.
    """

    scores: Float[Tensor, "B C"]
    rows: Int[Tensor, "B C"]
    ids: Int[Tensor, "B C"]


def penalized(score: Score, length: int, length_penalty: float) -> Score:
    """Apply the length penalty: divide a sum of log-probabilities by length^length_penalty.

    0 ranks by the sum itself, 1 by the mean; the larger, the longer the results.

    Source:
        Wu et al. 2016, arXiv:1609.08144, equation 14, for ranking by a quotient. Departure: the
        divisor is the plain power of the length, as in the reference library.

    Example:
        >>> penalized(-6.0, 4, 0.5)
        -3.0
    """
    return score / length**length_penalty


def best_scores(scores: Float[Tensor, "N V"], count: int) -> BestJoined:
    """Give the `count` largest scores of every row, or all; of equal ones, any."""
    nothing = scores.new_zeros(len(scores), 1)
    return best_joined(scores.unsqueeze(1), nothing, min(count, scores.size(-1)))


def best_joined(
    scores: Float[Tensor, "B W V"], added: Float[Tensor, "B W"], count: int
) -> BestJoined:
    """Give the `count` largest scores of every group of rows, the largest first.

    What is added to each row counts when they are ranked.

    A score among the largest stands in one of as many blocks with the largest maxima, so only
    those are sorted.
    """
    groups, width, size = scores.shape
    blocks = size // BLOCK_SIZE
    if count * BLOCK_SIZE * 2 >= size:
        cells = torch.arange(width * size, device=scores.device).expand(groups, -1)
    else:
        maxima = scores[..., : blocks * BLOCK_SIZE].view(groups, width, blocks, BLOCK_SIZE).amax(-1)
        chosen = (maxima + added.unsqueeze(-1)).flatten(1).topk(count).indices
        first = chosen.div(blocks, rounding_mode="floor") * size + chosen % blocks * BLOCK_SIZE
        inside = torch.arange(BLOCK_SIZE, device=scores.device)
        # The last, smaller block of every row is always looked at.
        rest = torch.arange(blocks * BLOCK_SIZE, size, device=scores.device)
        ends = torch.arange(width, device=scores.device).unsqueeze(-1) * size + rest
        cells = torch.cat(
            ((first.unsqueeze(-1) + inside).flatten(1), ends.flatten().expand(groups, -1)), 1
        )
    spare = (0, max(count - cells.size(1), 0))
    values = functional.pad(scores.flatten(1).gather(1, cells), spare, value=2 * NO_SCORE)
    cells = functional.pad(cells, spare)
    rows = cells.div(size, rounding_mode="floor")
    best = (values + added.gather(1, rows)).topk(count).indices
    values, rows, ids = (x.gather(1, best) for x in (values, rows, cells % size))
    return BestJoined(values, rows, ids)


def log_totals(scores: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """Give the logarithm of the sum of the exponentials of every row.

    It is how far the log-softmax, one pass of a vectorized kernel, moves each row.
    """
    first = scores[:, 0]
    moved = torch.cat([part.log_softmax(-1)[:, 0] for part in scores.split(ROWS_IN_CACHE)])
    # Where a row's first score is huge, its digits would be lost.
    is_exact = (first.abs() < MAX_EXACT_SCORE) & (moved.abs() < MAX_EXACT_SCORE)
    return first - moved if bool(is_exact.all()) else scores.logsumexp(-1)
