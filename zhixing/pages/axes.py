"""Chart axes: linear scales, ranges, ticks, downsampling of points."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zhixing.pages.html import Number, scientific

# A span between two larger values could overflow; no measurement comes near.
MAX_DRAWABLE = 1e300
_MAX_POINTS = 1200
# From which value on a unit is used. Below 10,000 the digits themselves are easier to read.
_UNITS = ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))


@dataclass(frozen=True)
class Axis:
    """A linear axis: a range of values laid along a line of pixels.

    `end` is the smaller pixel on an axis that points up.
    """

    low: Number
    high: Number
    start: Number
    end: Number

    def pixel(self, value: Number) -> float:
        """Give the pixel of a value, which must be one that `is_drawable`."""
        share = (float(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Give the pixels and labels of round values within the range."""
        values = linear_ticks(self.low, self.high)
        return list(zip(map(self.pixel, values), tick_labels(values), strict=True))


def is_drawable(value: Number) -> bool:
    """Tell whether a value has a place on an axis, which NaN and infinity have not."""
    return abs(value) <= MAX_DRAWABLE


def value_range(values: Iterable[Number]) -> tuple[float, float]:
    """Give a range that holds all values that can be drawn, and is never empty.

    A single value lies in the middle of the range; no value at all gives 0 to 1.
    """
    drawable = [float(value) for value in values if is_drawable(value)]
    if not drawable:
        return 0.0, 1.0
    low, high = min(drawable), max(drawable)
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    margin = abs(low) / 10 or 0.5
    return low - margin, high + margin


def rounded_range(low: Number, high: Number) -> tuple[float, float]:
    """Widen a linear range to the ticks around it.

    Example:
        >>> rounded_range(0.13, 0.88)
        (0.0, 1.0)
    """
    step = tick_step(low, high)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def padded_range(low: Number, high: Number) -> tuple[float, float]:
    """Widen a linear range a little, but not past zero, so that no curve runs along the edge.

    Example:
        >>> padded_range(0.0, 100.0)
        (0.0, 104.0)
    """
    margin = 0.04 * (high - low)
    padded_low = low - margin if low < 0 else max(0.0, low - margin)
    return padded_low, high + margin if high > 0 else min(0.0, high + margin)


def tick_step(low: Number, high: Number, count: int = 5) -> float:
    """Choose the distance between about `count` ticks: 1, 2 or 5 times a power of ten.

    Example:
        >>> tick_step(0, 37)
        10.0
    """
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))


def linear_ticks(low: Number, high: Number) -> list[float]:
    """Give round values at equal distances within a range.

    Example:
        >>> linear_ticks(0.0, 1.0)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    step = tick_step(low, high, count=7)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Rounded, or the third of 0.1, 0.2, ... would be 0.30000000000000004.
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def tick_labels(values: Sequence[Number]) -> list[str]:
    """Write ticks of one axis alike: the same unit and the same number of decimals.

    Example:
        >>> tick_labels([0, 5000, 10000])
        ['0', '5k', '10k']
        >>> tick_labels([0.0, 0.25, 0.5])
        ['0', '0.25', '0.50']
    """
    largest = max((abs(value) for value in values), default=0.0)
    if not 1e-2 <= largest < 1e13:
        return ["0" if value == 0 else scientific(value) for value in values]
    unit, suffix = next(((u, s) for least, u, s in _UNITS if largest >= least), (1.0, ""))
    decimals = max(_decimals(value / unit) for value in values)
    return [
        "0" if value == 0 else f"{value / unit:.{decimals}f}{suffix}".replace("-", "−")
        for value in values
    ]


def points_worth_drawing(x: Sequence[Number], y: Sequence[Number]) -> list[int]:
    """Downsample a curve to about 1200 points that draw the same picture as all of them.

    Of each of equally long stretches the points with the lowest and highest x and y are kept, and
    one that cannot be drawn if there is one. So every extreme stays, and every gap.

    Returns:
        Indices in rising order; all of them where there are no more than 1200.
    """
    count = len(x)
    if count <= _MAX_POINTS:
        return list(range(count))
    length = -(-count * 4 // _MAX_POINTS)
    kept: set[int] = set()
    for start in range(0, count, length):
        stretch = range(start, min(start + length, count))
        drawable = [i for i in stretch if is_drawable(x[i]) and is_drawable(y[i])]
        for values in (x, y) if drawable else ():
            kept.add(min(drawable, key=values.__getitem__))
            # Of equals the last, so that a level stretch is drawn to its end.
            kept.add(max(reversed(drawable), key=values.__getitem__))
        if len(drawable) < len(stretch):
            kept.add(min(set(stretch).difference(drawable)))
    return sorted(kept)


def _decimals(value: Number) -> int:
    """Count the decimals that a tick needs."""
    return next(d for d in range(13) if d == 12 or abs(round(value, d) - value) < 1e-9)
