"""Taps: named points at which an observer may read a tensor (hidden states, attention weights)."""

from torch import Tensor, nn


class Tap(nn.Module):
    """Hand on the input unchanged; an observer hangs a forward hook on it.

    A tap costs one call while nobody watches. Code that would have to leave a faster path in order
    to have something to show asks `is_watched` first.
    """

    @property
    def is_watched(self) -> bool:
        """Tell whether a hook is attached."""
        return bool(self._forward_hooks)

    def forward(self, x: Tensor) -> Tensor:
        """Give back `x` itself."""
        return x
