"""Tables in memory, for tests."""

from collections.abc import Mapping
from typing import Any

from zhixing.data.table import Table


def make_table(
    texts: list[str],
    labels: list[Any] | None = None,
    *,
    pairs: list[str] | None = None,
    targets: list[str] | None = None,
    weights: list[float] | None = None,
    rows: list[int] | None = None,
    source: str = "<list>",
    multi: bool = False,
    columns: Mapping[str, str] | None = None,
) -> Table:
    """Make a table of the roles that are given; rows are counted from 1."""
    cells = {"text": texts, "pair": pairs, "target": targets, "label": labels, "weight": weights}
    return Table(
        {role: column for role, column in cells.items() if column is not None},
        list(range(1, len(texts) + 1)) if rows is None else rows,
        source,
        multi,
        columns or {},
    )
