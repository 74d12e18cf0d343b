"""Layer norm and RMS norm: what keeps the numbers of a position at one size."""

from typing import Literal

from torch import nn

NormKind = Literal["layer", "rms"]
Norm = nn.LayerNorm | nn.RMSNorm


def norm_named(kind: NormKind, size: int, *, eps: float) -> Norm:
    """Make a norm over vectors of one size.

    Source:
        "layer" takes off the mean, divides by the spread, and has a weight and a bias, Ba et al.
        2016, arXiv:1607.06450, equation 4; "rms" divides by the root of the mean square and has a
        weight alone, Zhang & Sennrich 2019, arXiv:1910.07467, equation 4.
    """
    return nn.RMSNorm(size, eps=eps) if kind == "rms" else nn.LayerNorm(size, eps=eps)
