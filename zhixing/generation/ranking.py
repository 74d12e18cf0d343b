"""The best of very many scores: over a vocabulary, in few passes through the memory."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Scores that are first reduced to their largest, which is vectorized; sorting is not.
BLOCK = 128
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


def best_scores(scores: Float[Tensor, "N V"], count: int) -> Best:
    """Give the `count` largest scores of every row; of equal ones, any.

    A score among the largest stands in one of as many blocks with the largest maxima, so only
    those are sorted.
    """
    size = scores.size(-1)
    whole = size // BLOCK
    if count * BLOCK * 2 >= size or whole <= count:
        found = scores.topk(min(count, size), -1)
        return Best(found.values, found.indices)
    blocks = scores[:, : whole * BLOCK].view(-1, whole, BLOCK)
    chosen = blocks.amax(-1).topk(count, -1).indices
    inside = blocks.gather(1, chosen.unsqueeze(-1).expand(-1, -1, BLOCK))
    places = chosen.unsqueeze(-1) * BLOCK + torch.arange(BLOCK, device=scores.device)
    values, ids = inside.flatten(1), places.flatten(1)
    if whole * BLOCK < size:
        values = torch.cat((values, scores[:, whole * BLOCK :]), 1)
        rest = torch.arange(whole * BLOCK, size, device=scores.device).expand(len(scores), -1)
        ids = torch.cat((ids, rest), 1)
    found = values.topk(count, -1)
    return Best(found.values, ids.gather(1, found.indices))


def log_totals(scores: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """Give the logarithm of the sum of the exponentials of every row.

    It is how far the log-softmax, one pass of a vectorized kernel, moves each row.
    """
    totals = torch.cat([part[:, 0] - part.log_softmax(-1)[:, 0] for part in scores.split(ROWS)])
    # The first score of a row may be infinite.
    return totals if bool(totals.isfinite().all()) else scores.logsumexp(-1)
