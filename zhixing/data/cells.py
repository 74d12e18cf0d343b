"""Turn the raw cells of a table into texts, labels and numbers, or say what is wrong with them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from zhixing.data.roles import Role
from zhixing.data.table import Table
from zhixing.data.wording import clipped, counted, numbered
from zhixing.errors import DataError

# Characters that show nothing and that str.strip() leaves standing.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"

# What other tools write into a text file where a value is missing. "None" and "NA" are not here:
# both are names that people give to labels.
_MISSING_LABELS = {"nan", "NaN", "NAN", "null", "NULL", "<NA>"}

_BROKEN = "broken (half of a character pair, such as \\ud83d)"

_WHOLE_FLOAT = re.compile(r"-?\d+\.0+")


@dataclass(frozen=True)
class Cells:
    """Hold the raw cells of the columns that were found, by role."""

    source: str
    rows: list[int]
    columns: dict[str, str]
    by_role: dict[str, list[object]]


@dataclass(frozen=True)
class Rules:
    """Say how strictly cells are taken.

    Attributes:
        keep_blanks: Keep blank texts, and missing labels as "", instead of refusing them.
        multi_label: A label cell holds any number of labels.
        separator: What stands between the labels of a cell that is a string.
        whole_floats: Labels such as "1.0" are written "1".
    """

    keep_blanks: bool = False
    multi_label: bool = False
    separator: str = ","
    whole_floats: bool = False


def is_blank(text: str) -> bool:
    r"""Tell whether a text shows nothing: white space, and characters without width.

    Example:
        >>> is_blank(" \t"), is_blank("\u200b"), is_blank("a")
        (True, True, False)
    """
    return not text.strip().strip(_INVISIBLE).strip()


def build_table(cells: Cells, rules: Rules, roles: Sequence[Role]) -> Table:
    """Check every cell and make a Table.

    Raises:
        DataError: Cells are blank, missing or of the wrong kind; all of it is told at once, with
            counts and row numbers.
    """
    faults = _Faults(cells.rows)
    checked: dict[str, list[Any]] = {}
    for role in sorted(roles, key=lambda role: role.name != "text"):
        column = cells.by_role.get(role.name)
        if column is None:
            continue
        if role.kind == "label":
            checked[role.name] = _labels(column, rules, faults)
        elif role.kind == "number":
            checked[role.name] = _numbers(column, role, faults)
        else:
            checked[role.name] = _texts(column, role.noun, faults, keep_blanks=rules.keep_blanks)
    faults.refuse(cells.source)
    return Table(
        checked,
        cells.rows,
        cells.source,
        is_multi_label=rules.multi_label and "label" in checked,
        columns=cells.columns,
    )


def separator_of(cells: Sequence[object]) -> str:
    """Choose what stands between labels: "|" where any cell holds one, else ","."""
    return "|" if any(isinstance(cell, str) and "|" in cell for cell in cells) else ","


def are_whole_floats(cells: Sequence[object]) -> bool:
    """Tell whether all labels are whole numbers that some tool wrote as 1.0.

    A column that has both "4.0" and "4.5" is not touched.
    """
    labels = [cell.strip() for cell in cells if isinstance(cell, str)]
    labels = [label for label in labels if label and label not in _MISSING_LABELS]
    return bool(labels) and all(_WHOLE_FLOAT.fullmatch(label) for label in labels)


class _Faults:
    """Gathers rows by what is wrong with them, and raises one error for all."""

    def __init__(self, rows: list[int]) -> None:
        self._rows = rows
        self._found: dict[tuple[str, str], list[int]] = {}

    def add(self, index: int, noun: str, problem: str) -> None:
        self._found.setdefault((noun, problem), []).append(self._rows[index])

    def refuse(self, source: str) -> None:
        if not self._found:
            return
        parts = [
            f"{counted(len(rows), noun)} {'is' if len(rows) == 1 else 'are'} {problem} "
            f"({numbered(rows)})"
            for (noun, problem), rows in self._found.items()
        ]
        raise DataError(f"{source}: {'; '.join(parts)}; mend these rows or leave them out")


def _texts(cells: Sequence[object], noun: str, faults: _Faults, *, keep_blanks: bool) -> list[str]:
    for i, cell in enumerate(cells):
        problem = _text_problem(cell, keep_blanks=keep_blanks)
        if problem is not None:
            faults.add(i, noun, problem)
    return [cell if isinstance(cell, str) else "" for cell in cells]


def _text_problem(cell: object, *, keep_blanks: bool) -> str | None:
    if not isinstance(cell, str) and not _is_missing(cell):
        return f"{_kind(cell)} where a string is needed"
    if not isinstance(cell, str) or is_blank(cell):
        return None if keep_blanks else "blank"
    return _BROKEN if _has_surrogate(cell) else None


def _labels(
    cells: Sequence[object], rules: Rules, faults: _Faults
) -> list[str] | list[tuple[str, ...]]:
    if rules.multi_label:
        return [_label_tuple(cell, i, rules, faults) for i, cell in enumerate(cells)]
    return [_label(cell, i, rules, faults) for i, cell in enumerate(cells)]


def _label(cell: object, index: int, rules: Rules, faults: _Faults) -> str:
    if isinstance(cell, list | tuple):
        faults.add(index, "label", "a list (multi_label=True takes one list a row)")
        return ""
    if isinstance(cell, dict | bytes):
        faults.add(index, "label", f"{_kind(cell)} where a name is needed")
        return ""
    label = _label_name(cell)
    if _WHOLE_FLOAT.fullmatch(label) and rules.whole_floats:
        label = label.partition(".")[0]
    if not label and not rules.keep_blanks:
        faults.add(index, "label", "missing")
    if _has_surrogate(label):
        faults.add(index, "label", _BROKEN)
    return label


def _label_tuple(cell: object, index: int, rules: Rules, faults: _Faults) -> tuple[str, ...]:
    if isinstance(cell, str) and cell.strip() not in _MISSING_LABELS:
        # An empty cell is the only way in which CSV can say "none of the labels".
        parts: Sequence[object] = [part for part in cell.split(rules.separator) if part.strip()]
    elif isinstance(cell, list | tuple):
        parts = cell
    elif _is_missing(cell) and rules.keep_blanks:
        parts = ()
    else:
        parts = (cell,)
    # A label that is given twice is given once.
    return tuple(dict.fromkeys(_label(part, index, rules, faults) for part in parts))


def _label_name(cell: object) -> str:
    """Write a label as a string; "" where it is missing."""
    if isinstance(cell, str):
        name = cell.strip()
        return "" if name in _MISSING_LABELS else name
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if _is_missing(cell):
        return ""
    if isinstance(cell, Real) and not isinstance(cell, Integral):
        value = float(cell)
        return str(int(value)) if value.is_integer() else repr(value)
    return str(cell).strip()


def _numbers(cells: Sequence[object], role: Role, faults: _Faults) -> list[float]:
    numbers = []
    allowed = "a number" if role.at_least is None else f"a number of at least {role.at_least:g}"
    for i, cell in enumerate(cells):
        number = _number(cell)
        if not math.isfinite(number) or (role.at_least is not None and number < role.at_least):
            shown = "missing" if _is_missing(cell) else f'"{clipped(str(cell))}"'
            faults.add(i, role.noun, f"{shown} where {allowed} is needed")
        numbers.append(number)
    return numbers


def _number(cell: object) -> float:
    convert: Callable[..., float] = float
    try:
        return convert(cell)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _is_missing(cell: object) -> bool:
    # Only NaN differs from itself; pandas' own NA answers with neither True nor False.
    return cell is None or (isinstance(cell, Real) and bool(cell != cell)) or _is_pandas_na(cell)


def _is_pandas_na(cell: object) -> bool:
    return type(cell).__name__ in ("NAType", "NaTType")


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _kind(cell: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(cell), f"of type {type(cell).__name__}")
