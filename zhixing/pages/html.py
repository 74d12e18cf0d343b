"""HTML fragments: safe markup, escaped text, numbers a person can read."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_markup

# Control characters and halves of a surrogate pair: not allowed in HTML, or not in UTF-8.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

Number = int | float
# Characters of the longest text that is shown whole.
MAX_UNFOLDED = 280


@dataclass(frozen=True)
class Html:
    """Markup that is safe to put into a page as it stands.

    Every part of a page is one. Only this package makes them, with all text from outside passed
    through `escape`; so a plain string can never be taken for markup.

    Attributes:
        markup: Well-formed HTML.
    """

    markup: str


def escape(text: str) -> str:
    """Escape text for HTML markup and quoted attributes.

    Characters that a page cannot hold become U+FFFD, so that the page can always be written.

    Example:
        >>> escape('<b class="x">')
        '&lt;b class=&quot;x&quot;&gt;'
    """
    return escape_markup(_UNPRINTABLE.sub("\ufffd", text), quote=True)


def format_number(value: Number | None) -> str:
    """Write a number with thousands apart, or with up to four digits that count.

    Neither None nor NaN is a number; both become a dash.

    Example:
        >>> [format_number(value) for value in (12345, 0.123456, 98765.4, 1.5e-7, None)]
        ['12,345', '0.1235', '98,765', '1.5e-7', '–']
    """
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        return format_number(int(value))
    if 1e-3 <= abs(value) < 1e6:
        decimals = max(0, 3 - math.floor(math.log10(abs(value))))
        number = f"{value:,.{decimals}f}".replace("-", "−")
        return number.rstrip("0").rstrip(".") if decimals else number
    return scientific(value, digits=4)


def scientific(value: float, digits: int = 3) -> str:
    """Write a number as a power of ten with no digit too many.

    Example:
        >>> [scientific(value) for value in (3e-4, -2.5e-07, 1e21)]
        ['3e-4', '−2.5e-7', '1e21']
    """
    factor, exponent = f"{value:.{digits - 1}e}".replace("-", "−", value < 0).split("e")
    short = factor.rstrip("0").rstrip(".") if "." in factor else factor
    return f"{short}e{int(exponent)}"


def paragraph(text: str) -> Html:
    """Set a text as a paragraph, its own line breaks kept.

    Example:
        >>> paragraph("1 < 2").markup
        '<p class="text">1 &lt; 2</p>'
    """
    return Html(f'<p class="text">{escape(text)}</p>')


def side_by_side(parts: Sequence[Html]) -> Html:
    """Set parts next to each other where the window is wide enough, below each other elsewhere."""
    cells = "".join(f"<div>{part.markup}</div>" for part in parts)
    return Html(f'<div class="beside">{cells}</div>')


def collapsible(text: str) -> Html:
    """Show a short text whole, and the beginning of a long one with the rest a click away.

    The whole text is in the page either way, and is printed.
    """
    if len(text) <= MAX_UNFOLDED:
        return Html(f'<span class="text" dir="auto">{escape(text)}</span>')
    beginning = text[:MAX_UNFOLDED].rsplit(maxsplit=1)[0] if text.strip() else ""
    return Html(
        f'<details class="long" dir="auto"><summary><span class="text">{escape(beginning)}</span> '
        f'<span class="more">… all {len(text):,} characters</span></summary>'
        f'<div class="text">{escape(text)}</div></details>'
    )
