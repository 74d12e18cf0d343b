"""Table: texts and their labels, each with the row it came from."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zhixing.data.wording import counted, joined, numbered, quoted
from zhixing.errors import DataError

# How the cells of a role are called in a fingerprint and in messages, where not by the role's name.
_PLURALS = {"text": "texts", "pair": "pairs", "target": "targets", "label": "labels"}
_PLURALS |= {"weight": "weights"}


@dataclass(frozen=True)
class Table:
    """Hold rows that are fit for a task, column by column; everything in it has been checked.

    Attributes:
        cells: The cells of each role, one a row: texts exactly as they were found, labels as names
            (or tuples of them where the table is multi-label), numbers.
        rows: The number of each row as a person would count it: 1 is the first after the header.
            Empty lines are skipped but counted. Several files are counted on, in order of their
            names.
        source: What the rows were read from: "reviews.csv", "3 files", "<list>", "<stdin>".
        is_multi_label: Whether a row has any number of labels instead of one.
        columns: The column found for each role.
    """

    cells: Mapping[str, list[Any]]
    rows: list[int]
    source: str = "<list>"
    is_multi_label: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {_PLURALS.get(role, role): len(cells) for role, cells in self.cells.items()}
        lengths["rows"] = len(self.rows)
        if len(set(lengths.values())) > 1:
            sizes = ", ".join(f"{count} {name}" for name, count in lengths.items())
            raise DataError(f"a table of {sizes} is uneven: give as many of each")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def texts(self) -> list[str]:
        """Give the text of each row."""
        return self.cells["text"]

    @property
    def pairs(self) -> list[str] | None:
        """Give the second text of each row."""
        return self.cells.get("pair")

    @property
    def targets(self) -> list[str] | None:
        """Give what is to be written about each text."""
        return self.cells.get("target")

    @property
    def labels(self) -> list[Any] | None:
        """Give one label a row, or a tuple of them where the table is multi-label; or numbers."""
        return self.cells.get("label")

    @property
    def weights(self) -> list[float] | None:
        """Tell how much each row counts."""
        return self.cells.get("weight")

    def select(self, indices: Iterable[int]) -> "Table":
        """Take the rows at these indices (from 0), in this order, as a table of the same source."""
        chosen = list(indices)
        cells = {role: [column[i] for i in chosen] for role, column in self.cells.items()}
        return replace(self, cells=cells, rows=[self.rows[i] for i in chosen])

    def with_cells(self, role: str, cells: list[Any]) -> "Table":
        """Give the same rows with other cells in one role."""
        return replace(self, cells={**self.cells, role: cells})

    def to_columns(self, names: Mapping[str, str] | None = None) -> dict[str, list[Any]]:
        """Give the rows as columns of plain values, from which a table reads the same again.

        Args:
            names: What the column of a role is called; the role's own name if unsaid.
        """
        return {
            (names or {}).get(role, role): [list(x) if isinstance(x, tuple) else x for x in cells]
            for role, cells in self.cells.items()
        }

    def row_labels(self) -> list[tuple[str, ...]]:
        """List the labels of each row as a tuple, whether it has one or many; () without any."""
        if self.labels is None:
            return [()] * len(self)
        return [item if isinstance(item, tuple) else (str(item),) for item in self.labels]

    def label_counts(self) -> dict[str, int]:
        """Count the rows of each label; numbers come in the order of their size, then words.

        Missing labels (empty strings, which a table read for training never holds) are left out.

        Example:
            >>> Table({"text": ["a", "b"], "label": ["10", "9"]}, [1, 2]).label_counts()
            {'9': 1, '10': 1}
        """
        counts = Counter(label for labels in self.row_labels() for label in labels if label)
        return {label: counts[label] for label in sorted(counts, key=_label_order)}

    def fingerprint(self) -> str:
        """Hash the contents (the cells of every role) with SHA-256.

        The same rows give the same fingerprint whatever file format they came in, and whatever
        their row numbers, column names and source.
        """
        digest = hashlib.sha256()
        for part in self._contents():
            data = part.encode()
            # Lengths keep ("ab", "c") apart from ("a", "bc").
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()

    def _contents(self) -> Iterator[str]:
        yield f"{len(self)} {self.is_multi_label}"
        known = [role for role in _PLURALS if role in self.cells]
        for role in [*known, *sorted(set(self.cells) - set(known))]:
            yield _PLURALS.get(role, role)
            for cell in self.row_labels() if role == "label" else self.cells[role]:
                if isinstance(cell, tuple):
                    yield str(len(cell))
                    yield from cell
                else:
                    yield cell if isinstance(cell, str) else repr(cell)


def check_validation_labels(train: Table, validation: Table) -> None:
    """Refuse validation labels that training never sees.

    Raises:
        DataError: Such labels exist; they are named with their first rows.
    """
    message = unknown_labels(train, validation)
    if message is not None:
        raise DataError(message)


def unknown_labels(train: Table, validation: Table) -> str | None:
    """Describe the validation labels that training never sees, in one sentence, if there are any.

    Numbers on one side and words on the other are called so: two files often name the same
    classes in these two ways.
    """
    known = train.label_counts()
    unknown: dict[str, int] = {}
    for row, labels in zip(validation.rows, validation.row_labels(), strict=True):
        for label in labels:
            if label and label not in known:
                unknown.setdefault(label, row)
    if not unknown:
        return None
    named = joined([f'"{label}" ({numbered([row])})' for label, row in list(unknown.items())[:5]])
    more = f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else ""
    advice = "label both tables alike, or leave these rows out"
    if are_numbers(known) != are_numbers(unknown):
        kinds = ("numbers", "words") if are_numbers(known) else ("words", "numbers")
        advice = f"training labels are {kinds[0]} and these are {kinds[1]}: label both tables alike"
    return (
        f"{validation.source} has {counted(len(unknown), 'label')} that {train.source} lacks: "
        f"{named}{more}, where training has {quoted(known)}; {advice}"
    )


def are_numbers(labels: Iterable[str]) -> bool:
    """Tell whether every label is a whole number."""
    return all(label.removeprefix("-").isdecimal() and len(label) < 20 for label in labels)


def concatenate(tables: Sequence[Table]) -> Table:
    """Join tables of the same columns into one that is called as the first of them is."""
    first = tables[0]
    cells = {role: [cell for table in tables for cell in table.cells[role]] for role in first.cells}
    return replace(first, cells=cells, rows=[row for table in tables for row in table.rows])


def _label_order(label: str) -> tuple[int, int, str]:
    return (0, int(label), label) if are_numbers([label]) else (1, 0, label)


def unlabelled_table(texts: list[str], pairs: list[str] | None) -> Table:
    """Make an unlabelled table of texts in memory."""
    if pairs is not None and len(pairs) != len(texts):
        raise DataError(f"there are {len(texts)} texts but {len(pairs)} pairs; give one a text")
    cells = {"text": texts} if pairs is None else {"text": texts, "pair": pairs}
    return Table(cells, list(range(1, len(texts) + 1)))


def checked_text(value: object, name: str) -> str:
    """Give a text that is one.

    Raises:
        DataError: If it is not a string, or holds half of a surrogate pair.
    """
    if not isinstance(value, str):
        raise DataError(f"{name} holds a {type(value).__name__}; every text has to be a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{name} holds {value[error.start]!r} at character {error.start}, half of a surrogate "
            f"pair, which no UTF-8 text has; decode the text with the encoding that it was in"
        ) from error
    return value
