"""Table: texts and their labels, each with the row it came from."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zhixing.data.wording import counted, joined, numbered, quoted
from zhixing.errors import DataError

ROLES = ("text", "pair", "target", "label", "weight")


@dataclass(frozen=True)
class Columns:
    """Say which columns hold what; those left out are found by their names.

    Attributes:
        text: The column of the texts.
        pair: The column of the second texts, where the task is about pairs.
        target: The column of what is to be written: translations, summaries.
        label: The column of the labels.
        weight: The column of row weights. It is never found by name.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    weight: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Table:
    """Hold rows that are fit for a task; everything in it has been checked.

    Attributes:
        texts: One text a row, exactly as it was found.
        pairs: The second text of each row.
        labels: One label a row, or a tuple of them where the table is multi-label.
        rows: The number of each row as a person would count it: 1 is the first after the header.
            Empty lines are skipped but counted. Several files are counted on, in order of their
            names.
        source: What the rows were read from: "reviews.csv", "3 files", "<list>", "<stdin>".
        is_multi_label: Whether a row has any number of labels instead of one.
        columns: The column found for each role: text, pair, target, label, weight.
        weights: How much each row counts.
        targets: What is to be written about each text.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: list[str] | list[tuple[str, ...]] | None
    rows: list[int]
    source: str
    is_multi_label: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    weights: list[float] | None = None
    targets: list[str] | None = None

    def __post_init__(self) -> None:
        lengths = {
            "texts": len(self.texts),
            **{
                name: len(values)
                for name in ("pairs", "targets", "labels", "weights", "rows")
                if (values := getattr(self, name)) is not None
            },
        }
        if len(set(lengths.values())) > 1:
            sizes = ", ".join(f"{count} {name}" for name, count in lengths.items())
            raise DataError(f"a table of {sizes} is uneven: give as many of each")

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, indices: Iterable[int]) -> "Table":
        """Take the rows at these indices (from 0), in this order, as a table of the same source."""
        chosen = list(indices)
        multi = self.is_multi_label
        every = None if self.labels is None else self.row_labels()
        labels = None if every is None else [every[i] for i in chosen]
        return Table(
            texts=[self.texts[i] for i in chosen],
            pairs=None if self.pairs is None else [self.pairs[i] for i in chosen],
            labels=None if labels is None else _one_form(labels, is_multi_label=multi),
            rows=[self.rows[i] for i in chosen],
            source=self.source,
            is_multi_label=multi,
            columns=self.columns,
            weights=None if self.weights is None else [self.weights[i] for i in chosen],
            targets=None if self.targets is None else [self.targets[i] for i in chosen],
        )

    def to_columns(self, names: Mapping[str, str] | None = None) -> dict[str, list[Any]]:
        """Give the rows as columns of plain values, from which a table reads the same again.

        Args:
            names: What the column of a role is called; the role's own name if unsaid.
        """
        named = {role: role for role in ROLES} | dict(names or {})
        columns: dict[str, list[Any]] = {named["text"]: self.texts}
        if self.pairs is not None:
            columns[named["pair"]] = self.pairs
        if self.targets is not None:
            columns[named["target"]] = self.targets
        if self.labels is not None:
            columns[named["label"]] = [list(x) if isinstance(x, tuple) else x for x in self.labels]
        if self.weights is not None:
            columns[named["weight"]] = self.weights
        return columns

    def row_labels(self) -> list[tuple[str, ...]]:
        """List the labels of each row as a tuple, whether it has one or many; () without any."""
        if self.labels is None:
            return [()] * len(self)
        return [(item,) if isinstance(item, str) else item for item in self.labels]

    def label_counts(self) -> dict[str, int]:
        """Count the rows of each label; numbers come in the order of their size, then words.

        Missing labels (empty strings, which a table read for training never holds) are left out.

        Example:
            >>> Table(["a", "b", "c"], None, ["10", "9", "10"], [1, 2, 3], "<list>").label_counts()
            {'9': 1, '10': 2}
        """
        counts = Counter(label for labels in self.row_labels() for label in labels if label)
        return {label: counts[label] for label in sorted(counts, key=_label_order)}

    def fingerprint(self) -> str:
        """Hash the contents (texts, pairs, targets, labels, weights) with SHA-256.

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
        sides = (("texts", self.texts), ("pairs", self.pairs), ("targets", self.targets))
        for name, texts in sides:
            if texts is not None:
                yield name
                yield from texts
        if self.labels is not None:
            yield "labels"
            for labels in self.row_labels():
                yield str(len(labels))
                yield from labels
        if self.weights is not None:
            yield "weights"
            yield from (repr(weight) for weight in self.weights)


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
    if len(tables) == 1:
        return first
    multi = first.is_multi_label
    labels = [row for table in tables for row in table.row_labels()]
    return Table(
        texts=[text for table in tables for text in table.texts],
        pairs=None if first.pairs is None else [t for table in tables for t in table.pairs or []],
        labels=None if first.labels is None else _one_form(labels, is_multi_label=multi),
        rows=[row for table in tables for row in table.rows],
        source=first.source,
        is_multi_label=multi,
        columns=first.columns,
        weights=(
            None if first.weights is None else [w for table in tables for w in table.weights or []]
        ),
        targets=(
            None if first.targets is None else [t for table in tables for t in table.targets or []]
        ),
    )


def _label_order(label: str) -> tuple[int, int, str]:
    return (0, int(label), label) if are_numbers([label]) else (1, 0, label)


def _one_form(
    rows: Sequence[tuple[str, ...]], *, is_multi_label: bool
) -> list[str] | list[tuple[str, ...]]:
    return list(rows) if is_multi_label else [labels[0] for labels in rows]
