"""Loss scaling for float16 mixed precision; without float16 the scale is 1 and does nothing."""

import math

import torch

INITIAL_SCALE, SCALE_GROWTH_STEPS, SCALE_FACTOR = 65536.0, 2000, 2.0


class LossScale:
    """A dynamic loss scale, as a GradScaler: small float16 gradients do not vanish.

    A step whose gradient overflows is left out and the scale halved; after 2,000 good steps it is
    doubled.

    Source:
        Micikevicius et al. 2018, "Mixed precision training", arXiv:1710.03740, section 3.2.
    """

    def __init__(self, *, is_needed: bool) -> None:
        self.is_needed = is_needed
        self.value = INITIAL_SCALE if is_needed else 1.0
        self.growth = 0

    def accepts(self, norm: float) -> bool:
        """Tell whether a step with this gradient may be taken or is beyond help by a scale.

        Without float16, and at the smallest scale, it always is one of the two.
        """
        return not self.is_needed or math.isfinite(norm) or self.value == 1.0

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients by the scale."""
        if self.value == 1.0:
            return
        grads = [p.grad for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        torch._foreach_div_(grads, self.value)

    def update(self, norm: float) -> None:
        """Adapt the scale after a step: halve it on overflow, double it after good steps."""
        if not self.is_needed:
            return
        if not math.isfinite(norm):
            self.value, self.growth = max(self.value / SCALE_FACTOR, 1.0), 0
            return
        self.growth += 1
        if self.growth >= SCALE_GROWTH_STEPS:
            self.value, self.growth = self.value * SCALE_FACTOR, 0

    def restore(self, value: float, growth: int) -> None:
        """Go on from a snapshot."""
        if self.is_needed and value:
            self.value, self.growth = value, growth
