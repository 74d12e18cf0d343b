"""Position embeddings and biases: sinusoidal, rotary (RoPE), relative (T5), linear (ALiBi), ....

Learned and sinusoidal positions are added to the embeddings; a convolution reads the neighbours and
is added too; rotary positions turn queries and keys; relative and linear biases are added to the
attention scores. A model without any of them sees a bag of tokens.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from zhixing.errors import ConfigError

PositionKind = Literal[
    "none", "learned", "sinusoidal", "rotary", "relative", "linear", "convolution"
]
SinusoidKind = Literal["interleaved", "halves", "halves_inclusive"]
RotaryScalingKind = Literal["none", "linear", "llama3"]


def sinusoids(
    positions: Int[Tensor, " N"], size: int, *, kind: SinusoidKind = "interleaved"
) -> Float[Tensor, "N D"]:
    """Compute the sinusoidal position vectors of the original Transformer.

    Dimension 2i holds sin(pos / 10000^(2i/D)) and dimension 2i+1 holds cos of the same angle. The
    formula is often printed wrongly, and both misprints cost the property it was chosen for, that
    the vector of pos + k is a fixed rotation of the vector of pos: with the sine alone there is no
    rotation (sin(a + b) needs cos(a)), and with the exponent outside the quotient, as in
    (pos / 10000)^(2i/D), the angle no longer grows evenly with the position.
    `tests/unit/layers/test_positions.py` shows both.

    Args:
        positions: Numbers of places.
        size: D.
        kind: "interleaved" is the paper's order; "halves" has all sines first and then all
            cosines, as Marian does; "halves_inclusive" too, and its slowest wave is exactly
            10000 times as long as its fastest: 10000^(i/(D/2 - 1)), as in tensor2tensor's code,
            which M2M-100 and fairseq follow.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.5.

    Example:
        >>> sinusoids(torch.tensor([0]), 4).tolist()
        [[0.0, 1.0, 0.0, 1.0]]
    """
    waves = torch.arange((size + 1) // 2, device=positions.device, dtype=torch.float64)
    span = max(size // 2 - 1, 1) if kind == "halves_inclusive" else size / 2
    angles = positions.double().unsqueeze(-1) * torch.exp(waves * (-math.log(10000.0) / span))
    if kind == "interleaved":
        both = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
    else:
        both = torch.cat((angles.sin(), angles.cos()), dim=-1)
    return both[:, :size]


class Sinusoidal(nn.Module):
    """Look sinusoidal vectors up; there is nothing to learn and no longest text."""

    def __init__(self, hidden_size: int, *, kind: SinusoidKind = "interleaved") -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.kind = kind

    def forward(
        self, positions: Int[Tensor, " N"], *, below: int = 0, dtype: torch.dtype = torch.float64
    ) -> Float[Tensor, "N D"]:
        """Give one vector a position number.

        `below` is a number that no position reaches, where it is known: then the vectors come from
        a table that is kept.
        """
        if not below:
            return sinusoids(positions, self.hidden_size, kind=self.kind).to(dtype)
        rows = 1 << max(below - 1, 63).bit_length()
        table = _sinusoid_table(rows, self.hidden_size, self.kind, dtype, positions.device)
        return table.index_select(0, positions)


@lru_cache(maxsize=16)
# A prediction may be the first to ask, and what is kept has to serve training too.
@torch.inference_mode(mode=False)
def _sinusoid_table(
    rows: int, size: int, kind: SinusoidKind, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "N D"]:
    return sinusoids(torch.arange(rows), size, kind=kind).to(device, dtype)


class Convolutional(nn.Module):
    """Tell a token its place by its neighbours: a depth-wise convolution over its own sequence.

    It gives order without any table and so has no longest text; beyond the ends of a sequence
    stand zeros, never a neighbour's tokens, and those zeros are how a token learns of the ends.

    Source:
        Chu et al. 2021, "Conditional positional encodings", arXiv:2102.10882, section 3.2, in one
        dimension. Departure: none but that; the result is added to the input, as there.
    """

    def __init__(self, hidden_size: int, *, width: int = 7) -> None:
        super().__init__()
        if width < 1 or width % 2 == 0:
            raise ConfigError(
                f"convolution width is {width}; it has to be odd and at least 1, such as "
                f"{max(width // 2 * 2 + 1, 1)}"
            )
        # The weights are loaded, or drawn by `initialize`.
        self.weight = nn.Parameter(torch.zeros(hidden_size, 1, width))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        self.reach = width // 2

    def forward(self, x: Float[Tensor, "N D"], lengths: tuple[int, ...]) -> Float[Tensor, "N D"]:
        """Convolve all sequences at once, with room of zeros laid between them."""
        gap = 2 * self.reach
        shifts = self.reach + gap * torch.arange(len(lengths))
        rows = torch.arange(len(x)) + shifts.repeat_interleave(torch.tensor(lengths))
        rows = rows.to(x.device)
        room = x.new_zeros(len(x) + gap * len(lengths), x.size(-1))
        spaced = room.index_copy(0, rows, x)
        out = functional.conv1d(spaced.T[None], self.weight.to(x.dtype), groups=x.size(-1))
        return out[0].T.index_select(0, rows - self.reach) + self.bias.to(x.dtype)

    def plain(self, x: Float[Tensor, "N D"], lengths: tuple[int, ...]) -> Float[Tensor, "N D"]:
        """Convolve one sequence at a time; the twin of `forward`."""
        parts = []
        for part in x.split(list(lengths)):
            padded = functional.pad(part.T[None], (self.reach, self.reach))
            out = functional.conv1d(padded, self.weight, self.bias, groups=x.size(-1))
            parts.append(out[0].T)
        return torch.cat(parts)


@dataclass(frozen=True)
class RotaryScaling:
    """Slow rotary positions down, for texts longer than those a model was trained on.

    "none" keeps the frequencies f. "linear" interpolates positions: f / s. "llama3" looks at the
    wavelength w = 2 pi / f, with L trained positions: f where w < L / high, f / s where
    w > L / low, and between them (1 - m) f / s + m f with m = (L / w - low) / (high - low).

    Attributes:
        kind: Which of them.
        factor: s.
        low_factor, high_factor: Of "llama3".
        trained_positions: L, of "llama3".

    Source:
        Chen et al. 2023, "Position interpolation", arXiv:2306.15595, equation 4, for "linear";
        Grattafiori et al. 2024, arXiv:2407.21783, as released with Llama 3.1, for "llama3".
    """

    kind: RotaryScalingKind = "none"
    factor: float = 1.0
    low_factor: float = 1.0
    high_factor: float = 4.0
    trained_positions: int = 8192

    def apply(self, frequencies: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
        """Give the frequencies at which the pairs of a head turn."""
        if self.kind == "none":
            return frequencies
        slowed = frequencies / self.factor
        if self.kind == "linear":
            return slowed
        waves = self.trained_positions * frequencies / (2 * math.pi)
        share = (waves - self.low_factor) / (self.high_factor - self.low_factor)
        return slowed.lerp(frequencies, share.clamp(0.0, 1.0))


class Rotary(nn.Module):
    """Turn pairs of query and key dimensions by an angle that grows with the position (RoPE).

    Pair i of position p turns by p * f_i, with f_i = base^(-2i/K) or what `RotaryScaling` makes of
    it. The product of a turned query and a turned key depends on their distance alone. Pairs are
    (i, i + K/2), as the published checkpoints have them; the paper pairs (2i, 2i + 1), which is
    the same up to an order of the dimensions.

    The larger the base, the slower the last pairs turn.

    Source:
        Su et al. 2021, arXiv:2104.09864, equation 34.
    """

    def __init__(
        self, head_size: int, *, base: float = 10000.0, scaling: RotaryScaling | None = None
    ) -> None:
        super().__init__()
        if head_size % 2:
            raise ConfigError(
                f"head_size is {head_size}; rotary positions turn pairs: make it even"
            )
        self.head_size = head_size
        self.base = base
        self.scaling = scaling or RotaryScaling()

    def forward(
        self, x: Float[Tensor, "N H K"], positions: Int[Tensor, " N"]
    ) -> Float[Tensor, "N H K"]:
        """Turn every head's vector by its position's angles."""
        pairs = torch.arange(0, self.head_size, 2, device=x.device, dtype=torch.float64)
        frequencies = self.scaling.apply(self.base ** (-pairs / self.head_size))
        angles = positions.double().unsqueeze(-1) * frequencies
        cos, sin = (f(angles).to(x.dtype).unsqueeze(1) for f in (torch.cos, torch.sin))
        left, right = x.chunk(2, dim=-1)
        return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


class RelativeBias(nn.Module):
    """Learn one number per head and bucket of distance, added to the attention scores.

    Near distances have a bucket each, far ones share logarithmically wider buckets.

    Source:
        Raffel et al. 2020, arXiv:1910.10683, section 2.1 and footnote on logarithmic buckets.
    """

    def __init__(
        self,
        num_heads: int,
        *,
        num_buckets: int = 32,
        max_distance: int = 128,
        is_causal: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_buckets, num_heads))
        self.max_distance = max_distance
        self.is_causal = is_causal

    def forward(self, distance: Int[Tensor, "T S"]) -> Float[Tensor, "H T S"]:
        """Give the bias of each head; a distance is attended minus own position."""
        return self.weight[self.buckets(distance)].permute(2, 0, 1)

    def buckets(self, distance: Int[Tensor, "T S"]) -> Int[Tensor, "T S"]:
        """Tell each distance's bucket: half of them for each direction, unless causal."""
        count = self.weight.size(0)
        if self.is_causal:
            side, back = torch.zeros_like(distance), (-distance).clamp(min=0)
        else:
            count //= 2
            side, back = (distance > 0) * count, distance.abs()
        exact = count // 2
        ratio = torch.log(back.clamp(min=1).float() / exact) / math.log(self.max_distance / exact)
        far = exact + (ratio * (count - exact)).long()
        return side + torch.where(back < exact, back, far.clamp(max=count - 1))


class LinearBias(nn.Module):
    """Take from each score its distance times a slope of the head; nothing is learned.

    Source:
        Press et al. 2022, "ALiBi", arXiv:2108.12409, section 3: slopes 2^(-8/H), 2^(-16/H), ... .
        Departure: between positions on both sides the distance counts absolutely.
    """

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.slopes = tuple(2.0 ** (-8.0 * (head + 1) / num_heads) for head in range(num_heads))

    def forward(self, distance: Int[Tensor, "T S"]) -> Float[Tensor, "H T S"]:
        """Give minus the slope times the distance, for each head."""
        slopes = torch.tensor(self.slopes, device=distance.device)
        return -slopes[:, None, None] * distance.abs().to(slopes.dtype)


PositionBias = RelativeBias | LinearBias
