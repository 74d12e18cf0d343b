"""Gradient checkpointing: compute a block again in backward instead of keeping what it computed."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def recomputed(
    function: Callable[[Tensor], Tensor], x: Float[Tensor, "N D"]
) -> Float[Tensor, "N D"]:
    """Apply a function whose inner values are forgotten and computed once more for gradients.

    Dropout needs no care here: its masks follow from their places (`layers.dropout`), so the
    second computation equals the first.

    Source:
        Chen et al. 2016, arXiv:1604.06174.
    """
    result: Tensor = checkpoint(function, x, use_reentrant=False, preserve_rng_state=False)
    return result
