"""Line charts and histograms as SVG inside the page.

Values that are not finite are left out: a gap in a line, no point, no bar. A figure that leaves
something out says how much.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from zhixing.errors import DataError
from zhixing.pages.axes import (
    Axis,
    is_drawable,
    padded_range,
    points_worth_drawing,
    rounded_range,
    tick_step,
    value_range,
)
from zhixing.pages.frame import (
    bottom_axis,
    drawing,
    figure,
    left_axis,
    legend,
    line_sample,
    no_values,
    series_style,
)
from zhixing.pages.html import Html, Number, escape, format_number
from zhixing.pages.style import NUM_SERIES_COLOURS

_WIDTH, _HEIGHT = 680.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 664.0, 30.0, 254.0
# So many points are noise more than a curve, and a thick line would hide the others.
_MAX_THICK_POINTS = 300
# About so many; at most twice as many, usually fewer.
_NUM_BINS = 30


@dataclass(frozen=True)
class Series:
    """A series of points under one name, joined in their order where drawn as a line.

    Raises:
        DataError: There is not one y for each x.
    """

    name: str
    x: Sequence[Number]
    y: Sequence[Number]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise DataError(
                f"series {self.name!r} has {len(self.x)} x and {len(self.y)} y, but a point needs "
                "one of each; pass equally many"
            )


@dataclass(frozen=True)
class Marker:
    """A point with a word beside it, such as the best snapshot of a run."""

    x: Number
    y: Number
    label: str


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    markers: Sequence[Marker] = (),
) -> Html:
    """Draw a line chart of curves over one pair of axes; the pointer reads off their values.

    Of more than about 1200 points of a series only those are kept that change the picture: the
    extremes of every short stretch. A point between two gaps is drawn as a dot.

    The labels say what x and y are, with their units.

    Example:
        >>> chart = line_chart([Series("loss", [1, 2], [3.0, 2.5])], x_label="step", y_label="nats")
        >>> "<svg" in chart.markup
        True
    """
    cleaned = [_cleaned(each) for each in series]
    marked = [each for each in markers if is_drawable(each.x) and is_drawable(each.y)]
    x, y = _axes(cleaned, marked)
    shapes = [bottom_axis(x, _TOP, _BOTTOM, x_label), left_axis(y, _LEFT, _RIGHT, y_label)]
    shapes += [_curve(each, i, x, y) for i, each in enumerate(cleaned)]
    shapes.append(f'<line class="rule" y1="{_TOP:g}" y2="{_BOTTOM:g}" visibility="hidden"/>')
    shapes += [_mark(each, x, y) for each in marked]
    if not any(_drawn(each) for each in cleaned):
        shapes.append(no_values(_WIDTH, _HEIGHT))
    return figure(
        drawing(
            "".join(shapes),
            _WIDTH,
            _HEIGHT,
            f"{y_label} by {x_label}",
            _readings(cleaned, x, y, x_label),
        ),
        legend=legend([(each.name, line_sample(i)) for i, each in enumerate(series)]),
        note=_left_out(series),
    )


def histogram(values: Sequence[Number], *, x_label: str) -> Html:
    """Draw a histogram: the counts of values between round edges, in some 30 bins.

    A bin holds its lower edge and not its upper one; whole numbers get bins of a whole width.
    """
    known = [value for value in values if is_drawable(value)]
    step = tick_step(*value_range(known), _NUM_BINS)
    if all(value == int(value) for value in known):
        step = max(1.0, step)
    counts: dict[int, int] = {}
    for value in known:
        index = math.floor(value / step + 1e-9)
        counts[index] = counts.get(index, 0) + 1
    first, last = min(counts, default=0), max(counts, default=0)
    x = Axis(first * step, (last + 1) * step, _LEFT, _RIGHT)
    y = Axis(0.0, rounded_range(0.0, max(counts.values(), default=1))[1], _BOTTOM, _TOP)
    shapes = [left_axis(y, _LEFT, _RIGHT, "count"), bottom_axis(x, _BOTTOM, _BOTTOM, x_label)]
    for index, count in sorted(counts.items()):
        left, right = x.pixel(index * step), x.pixel((index + 1) * step)
        ends = f"{format_number(index * step)} to {format_number((index + 1) * step)}"
        shapes.append(
            f'<rect class="f0" x="{left + 0.5:.1f}" y="{y.pixel(count):.1f}" '
            f'width="{max(right - left - 1, 0.5):.1f}" height="{_BOTTOM - y.pixel(count):.1f}">'
            f"<title>{ends}: {count:,}</title></rect>"
        )
    if not known:
        shapes.append(no_values(_WIDTH, _HEIGHT))
    return figure(
        drawing("".join(shapes), _WIDTH, _HEIGHT, f"distribution of {x_label}"),
        note=_gap_note(len(values) - len(known), len(values)),
    )


def _cleaned(series: Series) -> Series:
    """Thin a series, and make NaN of every point that has no place."""
    x = [a if is_drawable(a) else math.nan for a in series.x]
    y = [b if is_drawable(b) and a == a else math.nan for a, b in zip(x, series.y, strict=True)]
    kept = points_worth_drawing(x, y)
    return Series(series.name, [x[i] for i in kept], [y[i] for i in kept])


def _drawn(series: Series) -> list[tuple[Number, Number]]:
    return [(a, b) for a, b in zip(series.x, series.y, strict=True) if b == b]


def _axes(series: Sequence[Series], markers: Sequence[Marker]) -> tuple[Axis, Axis]:
    points = [point for each in series for point in _drawn(each)]
    points += [(each.x, each.y) for each in markers]
    x_range = value_range([x for x, _ in points])
    y_range = padded_range(*value_range([y for _, y in points]))
    return Axis(*x_range, _LEFT, _RIGHT), Axis(*y_range, _BOTTOM, _TOP)


def _curve(series: Series, number: int, x: Axis, y: Axis) -> str:
    """Draw the stretches between gaps as lines, and those of one point as dots."""
    thin = series_style(number, is_thin=len(series.x) > _MAX_THICK_POINTS)
    stretches: list[list[str]] = [[]]
    dots = []
    for a, b in zip(series.x, series.y, strict=True):
        if b != b:
            stretches.append([])
        else:
            stretches[-1].append(f"{x.pixel(a):.1f},{y.pixel(b):.1f}")
    lines = []
    for stretch in stretches:
        if len(stretch) == 1:
            left, top = stretch[0].split(",")
            dots.append(f'<circle cx="{left}" cy="{top}" r="2.5"/>')
        elif stretch:
            lines.append(f'<polyline {thin} points="{" ".join(stretch)}"/>')
    return "".join(lines) + f'<g class="f{number % NUM_SERIES_COLOURS}">{"".join(dots)}</g>'


def _mark(marker: Marker, x: Axis, y: Axis) -> str:
    left, top = x.pixel(marker.x), y.pixel(marker.y)
    # The word goes where there is room: inwards, and below where the point is at the top.
    anchor, shift = ("end", -9) if left > (_LEFT + _RIGHT) / 2 else ("start", 9)
    drop = 18 if top < _TOP + 20 else -9
    return (
        f'<circle class="mark" cx="{left:.1f}" cy="{top:.1f}" r="4.5"/>'
        f'<text class="strong halo" x="{left + shift:.1f}" y="{top + drop:.1f}" '
        f'text-anchor="{anchor}">{escape(marker.label)}</text>'
    )


def _readings(series: Sequence[Series], x: Axis, y: Axis, x_label: str) -> str:
    """Give the script of the page the values that it shows under the pointer."""
    axes = {
        "x": {"low": x.low, "high": x.high, "label": x_label},
        "left": x.start,
        "right": x.end,
        "top": y.end,
        "bottom": y.start,
    }
    values = [
        {
            "name": each.name,
            "x": [_brief(a) for a, _ in points],
            "y": [_brief(b) for _, b in points],
        }
        for each in series
        for points in [_drawn(each)]
    ]
    return f' data-axes="{escape(_json(axes))}" data-series="{escape(_json(values))}"'


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _brief(value: Number) -> Number:
    """Keep seven digits that count, and no `.0`, in the interest of a small file."""
    brief = float(f"{value:.7g}") if isinstance(value, float) else value
    return int(brief) if brief == int(brief) and abs(brief) < 1e15 else brief


def _left_out(series: Sequence[Series]) -> str:
    points = [point for each in series for point in zip(each.x, each.y, strict=True)]
    drawn = sum(is_drawable(a) and is_drawable(b) for a, b in points)
    return _gap_note(len(points) - drawn, len(points))


def _gap_note(missing: int, total: int) -> str:
    if not missing:
        return ""
    verb = "is" if missing == 1 else "are"
    return f"{missing:,} of {total:,} values {verb} not finite, and left out."
