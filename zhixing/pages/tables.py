"""HTML tables, definition lists, code blocks, and lists of misclassified texts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zhixing.errors import DataError
from zhixing.pages.html import MAX_UNFOLDED, Html, Number, collapsible, escape, format_number

Cell = str | Number | Html | None


@dataclass(frozen=True)
class Quote:
    """A text with its true and its predicted label.

    The confidence is that of the prediction, 0 to 1; None or NaN where there is none.
    """

    text: str
    label: str
    predicted: str
    confidence: Number | None = None


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Html:
    """Make an HTML table whose headings sort it.

    Columns of numbers are set right. Fractions of one column get equally many decimals, and sort
    by their full value. None and NaN are a dash, and sort last. Long texts fold.

    Raises:
        DataError: A row does not fit the columns.

    Example:
        >>> table(["name", "F1"], [["news", 0.91]]).markup.count("<td")
        2
    """
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise DataError(
                f"row {number} of the table has {len(row)} cells, but there are "
                f"{len(columns)} columns; pass one cell for each"
            )
    cells = [[row[i] for row in rows] for i in range(len(columns))]
    classes = [' class="r"' if _is_numeric(column) else "" for column in cells]
    head = "".join(
        f'<th scope="col"{css}><button type="button">{escape(name)}</button></th>'
        for name, css in zip(columns, classes, strict=True)
    )
    decimals = list(map(_decimals, cells))
    body = "\n".join("<tr>" + "".join(map(_cell, row, classes, decimals)) + "</tr>" for row in rows)
    empty = "" if rows else '<p class="empty">No rows.</p>'
    return Html(
        f'<div class="scroll"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{empty}</div>"
    )


def key_values(pairs: Sequence[tuple[str, Cell]]) -> Html:
    """Make a definition list: names with their values in a grid, one line each.

    Example:
        >>> key_values([("rows", 872)]).markup
        '<dl><div><dt>rows</dt><dd>872</dd></div></dl>'
    """
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{_content(value)}</dd></div>" for name, value in pairs
    )
    return Html(f"<dl>{items}</dl>")


def code_block(text: str) -> Html:
    """Set text in a code block, spaces and line breaks kept: commands, settings, JSON."""
    return Html(f"<pre><code>{escape(text)}</code></pre>")


def quote_list(quotes: Sequence[Quote]) -> Html:
    """Show texts with their true and predicted labels, in the order given.

    Meant for the hardest mistakes, the surest first. Long texts fold.
    """
    if not quotes:
        return Html('<div><p class="empty">No texts.</p></div>')
    return Html(f'<div><ol class="quotes">{"".join(map(_quote, quotes))}</ol></div>')


def _quote(quote: Quote) -> str:
    is_known = quote.confidence is not None and math.isfinite(quote.confidence)
    sure = f" · {100 * (quote.confidence or 0):.1f} % sure" if is_known else ""
    css = "right" if quote.label == quote.predicted else "wrong"
    return (
        f"<li>{collapsible(quote.text).markup}"
        f'<div class="verdict">is <b class="right">{escape(quote.label)}</b> · taken for '
        f'<b class="{css}">{escape(quote.predicted)}</b>{sure}</div></li>'
    )


def _cell(value: Cell, css: str, decimals: int) -> str:
    key = ""
    if isinstance(value, int | float) and value == value:  # NaN has no place in an order.
        key = f' data-sort="{value + 0}"'  # True + 0 is 1.
    content = _content(value)
    if isinstance(value, float) and "e" not in content and math.isfinite(value):
        content = f"{value:,.{decimals}f}".replace("-", "−")
    return f"<td{css}{key}>{content}</td>"


def _decimals(column: Sequence[Cell]) -> int:
    """Count the decimals that the most precise fraction of a column is written with."""
    numbers = [format_number(value) for value in column if isinstance(value, float)]
    return max((len(each.partition(".")[2]) for each in numbers if "e" not in each), default=0)


def _content(value: Cell) -> str:
    if isinstance(value, Html):
        return value.markup
    if isinstance(value, str):
        return collapsible(value).markup if len(value) > MAX_UNFOLDED else escape(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_number(value)


def _is_numeric(column: Sequence[Cell]) -> bool:
    known = [value for value in column if value is not None]
    return bool(known) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in known
    )
