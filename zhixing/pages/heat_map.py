"""Heat maps: confusion matrices and attention weights as shades."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from zhixing.errors import DataError
from zhixing.pages.axes import is_drawable
from zhixing.pages.frame import CHARACTER_WIDTH, shorten, text_width
from zhixing.pages.html import Html, Number, escape, format_number

_NUM_SHADES = 12
# From these shades on the ink of the page is hard to read on them: the first where the page is
# dark, the second where it is light.
_MIDDLE_SHADE, _FULL_SHADE = 8, 10
# Above this many rows or columns there is no room for a number in a cell.
_MAX_NUMBERED_SIDE = 30


@dataclass(frozen=True)
class HeatMap:
    """One of several heat maps over the same rows and columns, such as one attention head."""

    title: str
    values: Sequence[Sequence[Number]]


@dataclass(frozen=True)
class _Layout:
    """Where the cells lie, in pixels.

    With a font of 0 there is no room for names that can be read; names of columns may be upright.
    """

    cell: Number
    left: Number
    top: Number
    width: Number
    height: Number
    font: Number
    name_columns: int
    is_upright: bool


def heat_map(
    values: Sequence[Sequence[Number]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    *,
    row_label: str = "",
    column_label: str = "",
    mark_errors: bool = False,
) -> Html:
    """Draw a heat map, such as a confusion matrix: one cell a value, the darker the larger.

    The shade grows with the square root of the value, so that a few mistakes can be seen beside
    many right answers; zero has no shade. Values below zero have the second colour. A value that
    is not finite is an empty cell. Up to 30 rows and columns have their numbers written in.

    There is one list of values a row. With `mark_errors` all cells off the diagonal have the second
    colour, as a confusion matrix wants it.

    Raises:
        DataError: The values do not fit the names.

    Example:
        >>> names = ["spam", "ham"]
        >>> heat_map([[9, 1], [0, 12]], names, names, mark_errors=True).markup.count("<path")
        3
    """
    _require_fit(values, row_names, column_names, "the heat map")
    layout = _layout(row_names, column_names)
    top_value = _largest([values])
    has_numbers = max(len(row_names), len(column_names)) <= _MAX_NUMBERED_SIDE
    shapes = [
        _names(row_names, column_names, layout),
        _labels(row_label, column_label, layout),
        _cells(values, top_value, layout, mark_errors),
        _numbers(values, top_value, layout) if has_numbers else "",
    ]
    names = _reading_names(row_names, column_names, row_label, column_label)
    svg = _svg("".join(shapes), values, layout, "heat map", is_fixed=True)
    return Html(f'<figure><div class="heat"{names}>{svg}</div>{_shades([values])}</figure>')


def heat_maps(
    maps: Sequence[HeatMap],
    row_names: Sequence[str],
    column_names: Sequence[str],
    *,
    row_label: str = "",
    column_label: str = "",
) -> Html:
    """Draw several heat maps over the same names side by side, all on one scale.

    Meant for attention: a map a head, own tokens in rows, attended tokens in columns. Shades are
    those of `heat_map`; no numbers are written, but the pointer reads them off.

    Raises:
        DataError: The values of a map do not fit the names.
    """
    for each in maps:
        _require_fit(each.values, row_names, column_names, f"heat map {each.title!r}")
    layout = _small_layout(row_names, column_names)
    top_value = _largest([each.values for each in maps])
    named = _names(row_names, column_names, layout)
    figures = []
    for each in maps:
        shapes = named + _cells(each.values, top_value, layout, False)
        svg = _svg(shapes, each.values, layout, each.title, is_fixed=False)
        figures.append(
            f'<figure class="heat"><figcaption>{escape(each.title)}</figcaption>{svg}</figure>'
        )
    names = _reading_names(row_names, column_names, row_label, column_label)
    below = _shades([each.values for each in maps]) if maps else '<p class="empty">No maps.</p>'
    return Html(f'<div><div class="heats"{names}>{"".join(figures)}</div>{below}</div>')


def _require_fit(
    values: Sequence[Sequence[Number]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    name: str,
) -> None:
    if len(values) != len(row_names):
        raise DataError(
            f"{name} has {len(values)} rows of values and {len(row_names)} row names; "
            "pass one name for each row"
        )
    for number, row in enumerate(values):
        if len(row) != len(column_names):
            raise DataError(
                f"row {number} of {name} has {len(row)} values, but there are "
                f"{len(column_names)} column names; pass one value for each"
            )


def _layout(row_names: Sequence[str], column_names: Sequence[str]) -> _Layout:
    """Choose a size of cell at which one map fills the page, and leave room for the names."""
    most = max(len(row_names), len(column_names), 1)
    cell = min(38.0, max(11.0, 680 / most))
    return _sized_layout(row_names, column_names, cell, room=46, name_columns=30)


def _small_layout(row_names: Sequence[str], column_names: Sequence[str]) -> _Layout:
    """Choose a size of cell at which four maps lie side by side."""
    cell = 190 / max(len(row_names), len(column_names), 1)
    return _sized_layout(row_names, column_names, min(cell, 24.0), room=8, name_columns=12)


def _sized_layout(
    row_names: Sequence[str],
    column_names: Sequence[str],
    cell: Number,
    *,
    room: Number,
    name_columns: int,
) -> _Layout:
    font = min(12.0, max(8.5, cell * 0.8)) if cell >= 8.5 else 0.0
    letter = CHARACTER_WIDTH * font / 12
    widest_row = min(max(map(text_width, row_names), default=0), name_columns) * letter
    widest_column = min(max(map(text_width, column_names), default=0), name_columns) * letter
    is_upright = widest_column > cell - 4
    left = room / 2 + widest_row + 6
    top = room / 2 + (widest_column + 6 if is_upright else font + 6)
    return _Layout(
        cell=cell,
        left=left,
        top=top,
        width=left + cell * len(column_names) + 4,
        height=top + cell * len(row_names) + 4,
        font=font,
        name_columns=name_columns,
        is_upright=is_upright,
    )


def _names(row_names: Sequence[str], column_names: Sequence[str], layout: _Layout) -> str:
    if not layout.font:
        return ""
    shapes = []
    for i, name in enumerate(row_names):
        x, y = layout.left - 6, layout.top + (i + 0.5) * layout.cell
        shapes.append((x, y, ' text-anchor="end" dy=".35em"', name))
    for i, name in enumerate(column_names):
        x, y = layout.left + (i + 0.5) * layout.cell, layout.top - 6
        turned = f' transform="rotate(-90 {x:.1f} {y:.1f})" dy=".35em"'
        shapes.append((x, y, turned if layout.is_upright else ' text-anchor="middle"', name))
    texts = "".join(
        f'<text x="{x:.1f}" y="{y:.1f}"{style}>{escape(shorten(name, layout.name_columns))}</text>'
        for x, y, style, name in shapes
    )
    return f'<g style="font-size:{layout.font:g}px">{texts}</g>'


def _labels(row_label: str, column_label: str, layout: _Layout) -> str:
    middle_x = (layout.left + layout.width) / 2
    middle_y = (layout.top + layout.height) / 2
    return (
        f'<text class="strong" x="{middle_x:.1f}" y="13" text-anchor="middle">'
        f"{escape(column_label)}</text>"
        f'<text class="strong" x="11" y="{middle_y:.1f}" text-anchor="middle" '
        f'transform="rotate(-90 11 {middle_y:.1f})">{escape(row_label)}</text>'
    )


def _largest(maps: Sequence[Sequence[Sequence[Number]]]) -> float:
    sizes = (abs(v) for values in maps for row in values for v in row if is_drawable(v))
    return float(max(sizes, default=0))


def _shade(value: Number, top_value: Number) -> int:
    """Give 0 for zero and for what is not finite, and 1 to 12 for all else."""
    if not is_drawable(value) or value == 0:
        return 0
    return max(1, math.ceil(_NUM_SHADES * math.sqrt(abs(value) / top_value) - 1e-9))


def _opacity(shade: int) -> float:
    return round(0.04 + 0.96 * shade / _NUM_SHADES, 2)


def _cells(
    values: Sequence[Sequence[Number]], top_value: Number, layout: _Layout, mark_errors: bool
) -> str:
    """Join the cells of one shade into one path: a map of 77 classes has 5929 of them."""
    paths: dict[tuple[bool, int], list[str]] = {}
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            shade = _shade(value, top_value)
            if shade:
                is_off = value < 0 or (mark_errors and i != j)
                paths.setdefault((is_off, shade), []).append(f"M{j} {i}h1v1h-1z")
    shapes = "".join(
        f'<path{" class=off" if is_off else ""} fill-opacity="{_opacity(shade):g}" '
        f'd="{"".join(cells)}"/>'
        for (is_off, shade), cells in sorted(paths.items())
    )
    width, height = layout.cell * len(values[0] if values else []), layout.cell * len(values)
    transform = f"translate({layout.left:.1f} {layout.top:.1f}) scale({layout.cell:.3f})"
    frame = (
        f'<rect class="axis" fill="none" x="{layout.left:.1f}" y="{layout.top:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}"/>'
    )
    return f'<g transform="{transform}">{shapes}</g>{frame}'


def _numbers(values: Sequence[Sequence[Number]], top_value: Number, layout: _Layout) -> str:
    """Write into their cells all values that two decimals can tell from zero."""
    numbers = ""
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if not is_drawable(value) or abs(value) < 0.005:
                continue
            css = _ink(_shade(value, top_value))
            x, y = layout.left + (j + 0.5) * layout.cell, layout.top + (i + 0.5) * layout.cell
            numbers += (
                f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" dy=".35em">{_brief(value)}</text>'
            )
    return f'<g style="font-size:{min(12.0, layout.cell * 0.42):.3g}px">{numbers}</g>'


def _ink(shade: int) -> str:
    if shade >= _FULL_SHADE:
        return "value on"
    return "value mid" if shade >= _MIDDLE_SHADE else "value"


def _brief(value: Number) -> str:
    """Write a value in at most about five characters: `1,204`, `12k`, `.07`."""
    if abs(value) >= 10_000:
        return f"{value / 1000:.0f}k".replace("-", "−")
    if value == int(value):
        return format_number(int(value))
    if abs(value) >= 1:
        return format_number(float(f"{value:.3g}"))
    return f"{value:.2f}".replace("0.", ".", 1).replace("-", "−")


def _shades(maps: Sequence[Sequence[Sequence[Number]]]) -> str:
    """Show which shade stands for which value."""
    top_value = _largest(maps)
    if not top_value:
        return ""
    values = [float(f"{top_value * share:.2g}") for share in (0.01, 0.1, 0.25, 0.5)]
    if all(isinstance(value, int) for values in maps for row in values for value in row):
        values = [float(math.ceil(value)) for value in values]
    samples = "".join(
        f'<span><i style="opacity:{_opacity(_shade(value, top_value)):g}"></i>'
        f"{format_number(value)}</span>"
        for value in sorted({*values, top_value})
    )
    return f'<div class="shades">{samples}</div>'


def _reading_names(
    row_names: Sequence[str], column_names: Sequence[str], row_label: str, column_label: str
) -> str:
    names = {
        "rows": list(row_names),
        "columns": list(column_names),
        "row": row_label,
        "column": column_label,
    }
    return f' data-names="{escape(json.dumps(names, ensure_ascii=False))}"'


def _svg(
    shapes: str,
    values: Sequence[Sequence[Number]],
    layout: _Layout,
    label: str,
    *,
    is_fixed: bool,
) -> str:
    """Wrap the shapes, with the values for the script of the page to read off.

    A fixed drawing has its own size, to be scrolled where the window is narrow.
    """
    known = [[_reading(value) for value in row] for row in values]
    # `0.0` is three bytes in every cell where `0` is one.
    data = json.dumps(known, separators=(",", ":")).replace(".0,", ",").replace(".0]", "]")
    frame = json.dumps({"left": layout.left, "top": layout.top, "cell": layout.cell})
    size = f' width="{layout.width:.0f}" height="{layout.height:.0f}"' if is_fixed else ""
    return (
        f'<svg viewBox="0 0 {layout.width:.1f} {layout.height:.1f}"{size} role="img" '
        f'aria-label="{escape(label)}" data-frame="{escape(frame)}" data-values="{data}">'
        f"{shapes}</svg>"
    )


def _reading(value: Number) -> Number | None:
    if not is_drawable(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.4g}")
