"""What all figures share: SVG frame, title, legend, grid lines, names cut to fit."""

import unicodedata
from collections.abc import Sequence

from zhixing.pages.axes import Axis
from zhixing.pages.html import Html, Number, escape
from zhixing.pages.style import NUM_SERIES_COLOURS

# Width of a digit or small letter at the font size of all figures, 12 pixels.
CHARACTER_WIDTH = 6.4
# Solid first; the colours after it are told apart without being seen as colours.
_DASHES = ("", "7 4", "2 4", "10 3 2 3", "14 4", "5 2 1 2 1 2", "1 3")


def figure(drawing: str, *, title: str = "", legend: str = "", note: str = "") -> Html:
    """Put a drawing below its title and legend, and above a note on what it leaves out."""
    caption = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    below = f'<p class="gaps">{escape(note)}</p>' if note else ""
    return Html(f'<figure class="chart">{caption}{legend}{drawing}{below}</figure>')


def drawing(content: str, width: Number, height: Number, label: str, attributes: str = "") -> str:
    """Wrap shapes as one SVG drawing, as wide as the page allows.

    The label is what a screen reader says in its place. Further attributes come each after a space.
    """
    # In half a page a wide drawing shrinks so far that its letters have to grow.
    wide = ' class="wide"' if width > 600 else ""
    return (
        f'<svg{wide} viewBox="0 0 {width:g} {height:g}" style="max-width:{1.15 * width:g}px" '
        f'role="img" aria-label="{escape(label)}"{attributes}>{content}</svg>'
    )


def no_values(width: Number, height: Number) -> str:
    """Say in the middle of an empty figure that it is empty on purpose."""
    return f'<text x="{width / 2:g}" y="{height / 2:g}" text-anchor="middle">no values</text>'


def bottom_axis(axis: Axis, top: Number, bottom: Number, label: str) -> str:
    """Draw upright grid lines, their values below, and the name of the axis below those."""
    parts = [
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}"/>'
        f'<text x="{x:.1f}" y="{bottom + 17:g}" text-anchor="middle">{tick}</text>'
        for x, tick in axis.ticks()
    ]
    middle = (axis.start + axis.end) / 2
    name = f'<text x="{middle:g}" y="{bottom + 36:g}" text-anchor="middle">{escape(label)}</text>'
    return "".join(parts) + name


def left_axis(axis: Axis, left: Number, right: Number, label: str) -> str:
    """Draw level grid lines, their values on the left, and the name of the axis above them."""
    parts = [
        f'<line class="grid" x1="{left:g}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{left - 8:g}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>'
        for y, tick in axis.ticks()
    ]
    top = min(axis.start, axis.end)
    return "".join(parts) + f'<text x="4" y="{top - 12:g}">{escape(label)}</text>'


def series_style(number: int, *, is_thin: bool = False) -> str:
    """Give the attributes that draw the line of a series in its colour and dash."""
    thin = " many" if is_thin else ""
    dash = _DASHES[number % len(_DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'class="series s{number % NUM_SERIES_COLOURS}{thin}"{dashes}'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Make a legend: names beside drawings of 26 by 10 pixels; nothing for a lone entry."""
    if len(entries) < 2:
        return ""
    items = "".join(
        f'<span><svg viewBox="0 0 26 10" aria-hidden="true">{shapes}</svg>{escape(name)}</span>'
        for name, shapes in entries
    )
    return f'<div class="legend">{items}</div>'


def line_sample(number: int) -> str:
    """Draw a short stretch of a series, for a legend."""
    return f'<line {series_style(number)} x1="1" x2="25" y1="5" y2="5"/>'


def text_width(text: str) -> int:
    """Count the columns a text takes; Chinese, Japanese and Korean characters take two each."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def shorten(text: str, columns: int) -> str:
    """Cut a name to a number of columns, with an ellipsis where something is missing.

    Example:
        >>> shorten("card_payment_not_recognised", 12)
        'card_paymen…'
    """
    if text_width(text) <= columns:
        return text
    kept = ""
    for letter in text:
        if text_width(kept + letter) >= columns:
            break
        kept += letter
    return kept + "…"
