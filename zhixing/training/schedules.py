"""Learning-rate schedules with linear warm-up: linear, cosine, inverse square root, constant."""

import math

from zhixing.training.config import Schedule


def rate_factor(step: int, *, total: int, warmup: int, schedule: Schedule) -> float:
    """Give the learning-rate factor (warm-up, then decay) of a step counted from 0.

    It rises linearly over the warm-up and then falls to zero at `total`, in a line or as half a
    cosine; "inverse_sqrt" falls by the inverse root of the step and needs no end; "constant" stays.

    Source:
        Vaswani et al. 2017, section 5.3, for the warm-up and the root; Loshchilov & Hutter 2017,
        arXiv:1608.03983, equation 5 with one cycle, for the cosine.

    Example:
        >>> [rate_factor(i, total=4, warmup=2, schedule="linear") for i in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    if schedule == "inverse_sqrt":
        return math.sqrt(max(warmup, 1) / (step + 1))
    done = min((step - warmup) / max(total - warmup, 1), 1.0)
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    return 1.0 - done
