"""Bar charts with confidence intervals, and the reliability diagram."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from zhixing.pages.axes import Axis, is_drawable, rounded_range, value_range
from zhixing.pages.frame import (
    CHARACTER_WIDTH,
    bottom_axis,
    drawing,
    figure,
    left_axis,
    legend,
    no_values,
    shorten,
    text_width,
)
from zhixing.pages.html import Html, Number, escape, format_number

_WIDTH = 680.0
_ROW_HEIGHT = 26.0
_MAX_NAME_COLUMNS = 32


@dataclass(frozen=True)
class Bar:
    """A bar: a value under a name, with the ends of its interval where there is one."""

    name: str
    value: Number
    low: Number | None = None
    high: Number | None = None


@runtime_checkable
class ReliabilityBin(Protocol):
    """A bin of a reliability diagram: the rows whose confidence lies between two edges.

    Whatever has these attributes will do; a bin without rows has a `count` of 0.
    """

    @property
    def low(self) -> float:
        """Lower edge, 0 to 1."""

    @property
    def high(self) -> float:
        """Upper edge, 0 to 1."""

    @property
    def count(self) -> int:
        """Number of rows."""

    @property
    def confidence(self) -> float:
        """Mean probability of the predicted class."""

    @property
    def accuracy(self) -> float:
        """Share of the rows that are right."""


def bar_chart(bars: Sequence[Bar], *, x_label: str, title: str = "") -> Html:
    """Draw a bar chart: level bars from zero, in the order given, each with its number.

    An interval is a thin line across the end of its bar. A value that is not finite has no bar
    and is written as a dash.
    """
    # A fifth more than the names take, for windows so narrow that letters are set larger.
    named = max((text_width(each.name) for each in bars), default=0)
    left = 16 + 1.2 * CHARACTER_WIDTH * min(named, _MAX_NAME_COLUMNS)
    right, bottom = _WIDTH - 70, 10 + _ROW_HEIGHT * max(len(bars), 1)
    ends = [end for each in bars for end in (each.value, each.low, each.high) if end is not None]
    has_length = any(end != 0 and is_drawable(end) for end in ends)
    low, high = rounded_range(*value_range([0, *ends] if has_length else [0, 1]))
    x = Axis(low, high, left, right)
    shapes = [bottom_axis(x, 6, bottom, x_label)]
    shapes += [_bar(each, 10 + _ROW_HEIGHT * i, x) for i, each in enumerate(bars)]
    zero = x.pixel(0)
    shapes.append(f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="6" y2="{bottom:g}"/>')
    if not bars:
        shapes.append(no_values(_WIDTH, bottom))
    return figure(
        drawing("".join(shapes), _WIDTH, bottom + 46, title or x_label),
        title=title,
    )


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> Html:
    """Draw a reliability diagram: accuracy against confidence, bin by bin.

    Bars below the dashed line are too sure, bars above it not sure enough. The thin line in each
    bar is the mean confidence of its rows, so that its distance to the bar's top is the error.
    Below are the numbers of rows, without which a bar means little.
    """
    filled = [each for each in bins if each.count > 0 and _is_known(each)]
    width, left, right = 420.0, 52.0, 404.0
    top, bottom, low_top, low_bottom = 28.0, 300.0, 340.0, 400.0
    x, y = Axis(0.0, 1.0, left, right), Axis(0.0, 1.0, bottom, top)
    most = max((each.count for each in filled), default=1)
    counts = Axis(0.0, float(most), low_bottom, low_top)
    shapes = [
        left_axis(y, left, right, "accuracy"),
        f'<text x="4" y="{low_top - 12:g}">rows</text>'
        f'<text x="{left - 8:g}" y="{low_top + 4:g}" text-anchor="end">{most:,}</text>',
        bottom_axis(x, low_bottom, low_bottom, "confidence"),
        f'<path class="axis" d="M{left:g} {low_bottom:g}H{right:g}"/>',
    ]
    shapes += [_reliability_bar(each, x, y, counts) for each in filled]
    shapes.append(
        f'<line class="ideal" x1="{left:g}" y1="{bottom:g}" x2="{right:g}" y2="{top:g}"/>'
    )
    if not filled:
        shapes.append(no_values(width, bottom))
    samples = [
        ("accuracy", '<rect class="f0" x="3" width="20" height="10" fill-opacity=".8"/>'),
        ("mean confidence", '<line class="series s1" x1="2" x2="24" y1="5" y2="5"/>'),
        ("equal", '<line class="ideal" x1="1" x2="25" y1="5" y2="5"/>'),
    ]
    return figure(
        drawing("".join(shapes), width, 440, "accuracy by confidence"),
        legend=legend(samples),
    )


def _bar(bar: Bar, top: Number, x: Axis) -> str:
    name = (
        f'<text class="strong" x="{x.start - 8:.1f}" y="{top + 14:.1f}" text-anchor="end">'
        f"<title>{escape(bar.name)}</title>{escape(shorten(bar.name, _MAX_NAME_COLUMNS))}</text>"
    )
    number = format_number(bar.value)
    if not is_drawable(bar.value):
        return f'{name}<text x="{x.pixel(0) + 8:.1f}" y="{top + 14:.1f}">{number}</text>'
    start, end = sorted((x.pixel(0), x.pixel(bar.value)))
    shape = (
        f'<rect class="f0" x="{start:.1f}" y="{top + 2:.1f}" width="{max(end - start, 0.5):.1f}" '
        f'height="{_ROW_HEIGHT - 10:g}" rx="2"/>'
    )
    whisker, far = "", end
    if bar.low is not None and bar.high is not None and is_drawable(bar.low + bar.high):
        first, last = x.pixel(bar.low), x.pixel(bar.high)
        middle, far = top + _ROW_HEIGHT / 2 - 3, max(end, last)
        whisker = (
            f'<path class="whisker" d="M{first:.1f} {middle - 4:.1f}v8m0-4H{last:.1f}m0-4v8">'
            f"<title>{format_number(bar.low)} to {format_number(bar.high)}</title></path>"
        )
    value = f'<text class="strong halo" x="{far + 8:.1f}" y="{top + 14:.1f}">{number}</text>'
    return name + shape + whisker + value


def _is_known(each: ReliabilityBin) -> bool:
    return all(
        math.isfinite(value) for value in (each.low, each.high, each.confidence, each.accuracy)
    )


def _reliability_bar(each: ReliabilityBin, x: Axis, y: Axis, counts: Axis) -> str:
    left, width = x.pixel(each.low) + 1, x.pixel(each.high) - x.pixel(each.low) - 2
    ends = f"{format_number(each.low)} to {format_number(each.high)}"
    sure = (
        f"{ends}: {100 * each.accuracy:.1f} % right, {100 * each.confidence:.1f} % sure, "
        f"{each.count:,} rows"
    )
    top, confidence, low_top = (
        y.pixel(each.accuracy),
        y.pixel(each.confidence),
        counts.pixel(each.count),
    )
    return (
        f"<g><title>{sure}</title>"
        f'<rect class="f0" fill-opacity=".8" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{y.start - top:.1f}"/>'
        f'<line class="series s1" x1="{left:.1f}" x2="{left + width:.1f}" y1="{confidence:.1f}" '
        f'y2="{confidence:.1f}"/>'
        f'<rect class="f6" x="{left:.1f}" y="{low_top:.1f}" width="{width:.1f}" '
        f'height="{counts.start - low_top:.1f}"/></g>'
    )
