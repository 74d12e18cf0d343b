"""Checks of labelled rows: duplicates, conflicts, class imbalance, leakage into validation."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

from zhixing.data.cells import is_blank
from zhixing.data.doctors.findings import Finding, Tally, count_marks, mark_findings, worst_first
from zhixing.data.table import Table, unknown_labels
from zhixing.data.wording import counted, folded, quoted
from zhixing.errors import DataError

# Fewer examples of a label than this teach a small model next to nothing.
_MIN_EXAMPLES = 8

# Classes this unequal make accuracy a poor score: always naming the largest gives 91 % and more.
_IMBALANCE_RATIO = 10


@dataclass(frozen=True)
class LengthSummary:
    """Summarize how long texts are, in tokens where a tokenizer counted and else in characters.

    `max_length` is what the model takes at once, where that was told.
    """

    unit: Literal["tokens", "characters"]
    shortest: int
    median: int
    percentile_95: int
    longest: int
    total: int
    max_length: int | None = None
    num_longer: int = 0


@dataclass(frozen=True)
class Examination:
    """Tell what an examination found, worst first.

    Attributes:
        source: What was examined.
        num_rows: How many rows it has.
        labels: The number of rows of each label.
        lengths: None for an empty table.
        findings: All that is wrong or worth knowing.
        target_lengths: None where there are no targets.
    """

    source: str
    num_rows: int
    labels: dict[str, int]
    lengths: LengthSummary | None
    findings: list[Finding]
    target_lengths: LengthSummary | None = None

    @property
    def has_errors(self) -> bool:
        """Whether training has to wait until something is mended."""
        return any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, object]:
        """Hand out everything as plain values, fit for JSON."""
        return asdict(self)


def examine(
    table: Table,
    validation: Table | None = None,
    *,
    count_tokens: Callable[[Sequence[str]], list[int]] | None = None,
    max_length: int | None = None,
) -> Examination:
    """Check labelled rows for all that would spoil training or make scores untrue.

    It raises nothing about the rows: blanks, duplicates, contradictions, leaks into validation,
    labels that are rare, alike or unknown, and damaged texts all become findings. So read the
    table with `keep_blanks=True`.

    Validation rows are held against the others. Tokens are counted as the model's tokenizer does,
    special ones aside.

    Example:
        >>> table = Table(["fine", "fine", "bad"], None, ["1", "0", "0"], [1, 2, 3], "<list>")
        >>> [finding.kind for finding in examine(table).findings]
        ['few_examples', 'conflicting_labels']
    """
    sides = [table.texts] if table.pairs is None else [table.texts, table.pairs]
    summary, lengths = measure_lengths(sides, count_tokens, max_length)
    findings = [
        *_blank_findings(table),
        *_label_findings(table),
        *_duplicate_findings(table),
        *_mark_findings(table),
        *_length_findings(table, summary, lengths),
    ]
    if validation is not None:
        findings += _validation_findings(table, validation)
    return Examination(
        source=table.source,
        num_rows=len(table),
        labels=table.label_counts(),
        lengths=summary,
        findings=worst_first(findings),
    )


def _blank_findings(table: Table) -> list[Finding]:
    tally = Tally()
    pairs = table.pairs or table.texts
    for row, text, pair, labels in zip(
        table.rows, table.texts, pairs, table.row_labels(), strict=True
    ):
        if is_blank(text) or is_blank(pair):
            tally.add("blank_texts", row)
        if "" in labels:
            tally.add("missing_labels", row)
    return [
        *tally.finding("blank_texts", "error", "a blank text", "fill them in or leave them out"),
        *tally.finding("missing_labels", "error", "no label", "label them or leave them out"),
    ]


def _label_findings(table: Table) -> list[Finding]:
    counts = table.label_counts()
    if not counts:
        return []
    if len(counts) == 1 and not table.is_multi_label:
        message = f"every row has the label {quoted(counts)}, so there is nothing to tell apart"
        return [Finding("single_label", "error", message, [], len(table), "add rows of another")]
    if 2 * len(counts) > len(table) and len(table) > 20:
        message = (
            f"there are {counted(len(counts), 'label')} for {counted(len(table), 'row')}, as if "
            "the column held something other than classes"
        )
        remedy = "name the right column with --label COLUMN, in Python label=COLUMN"
        return [Finding("too_many_labels", "warning", message, [], len(counts), remedy)]
    return [*_rare_labels(counts), *_imbalance(counts, table), *_similar_labels(counts, table)]


def _rare_labels(counts: dict[str, int]) -> list[Finding]:
    rare = [label for label, count in counts.items() if count < _MIN_EXAMPLES]
    if not rare:
        return []
    verb = "has" if len(rare) == 1 else "have"
    message = (
        f"{counted(len(rare), 'label')} {verb} fewer than {_MIN_EXAMPLES} rows ({quoted(rare)})"
    )
    remedy = "add rows of these labels, or merge them into others"
    return [Finding("few_examples", "warning", message, [], len(rare), remedy)]


def _imbalance(counts: dict[str, int], table: Table) -> list[Finding]:
    largest, smallest = (pick(counts, key=lambda k: counts[k]) for pick in (max, min))
    if counts[largest] < _IMBALANCE_RATIO * counts[smallest]:
        return []
    message = (
        f'"{largest}" has {counts[largest]:,} of {len(table):,} rows and "{smallest}" '
        f"{counts[smallest]:,}"
    )
    remedy = "judge by macro-F1 rather than accuracy, which the largest label decides"
    return [Finding("imbalanced_labels", "note", message, [], len(counts), remedy)]


def _similar_labels(counts: dict[str, int], table: Table) -> list[Finding]:
    alike: dict[str, list[str]] = {}
    for label in counts:
        plain = "".join(c for c in label.casefold() if c.isalnum() or not c.isascii())
        alike.setdefault(plain, []).append(label)
    findings = []
    for names in alike.values():
        if len(names) > 1:
            # The rows of the rarest spelling, which is most likely the slip.
            rarest = min(names, key=lambda label: counts[label])
            every = zip(table.rows, table.row_labels(), strict=True)
            rows = [row for row, labels in every if rarest in labels]
            findings.append(
                Finding(
                    "similar_labels",
                    "warning",
                    f"labels {quoted(names)} differ in case or punctuation only",
                    rows[:20],
                    len(rows),
                    "write them alike if they mean one class",
                )
            )
    return findings


def _duplicate_findings(table: Table) -> list[Finding]:
    tally = Tally()
    first: dict[tuple[str, str], int] = {}
    labels = table.row_labels()
    for i, key in enumerate(_keys(table)):
        if key not in first:
            first[key] = i
        elif labels[i] == labels[first[key]]:
            tally.add("duplicate_rows", table.rows[i])
        else:
            tally.add("conflicting_labels", table.rows[i])
    return [
        *tally.finding(
            "conflicting_labels",
            "warning",
            "the text of an earlier row under another label",
            "decide which label is right",
            verb="repeat",
        ),
        *tally.finding(
            "duplicate_rows",
            "note",
            "an earlier row",
            "leave them out unless they are that frequent in use",
            verb="repeat",
        ),
    ]


def _mark_findings(table: Table) -> list[Finding]:
    texts = table.texts
    if table.pairs is not None:
        texts = [f"{text}\n{pair}" for text, pair in zip(texts, table.pairs, strict=True)]
    return mark_findings(count_marks(texts, table.rows))


def measure_lengths(
    sides: Sequence[Sequence[str]],
    count_tokens: Callable[[Sequence[str]], list[int]] | None,
    max_length: int | None,
) -> tuple[LengthSummary | None, list[int]]:
    """Measure rows, one after the other and all together; no summary where there are none.

    Args:
        sides: Of each row, the texts that the model reads together.
        count_tokens: Counts the tokens of each text; without it characters are counted.
        max_length: How many tokens the model takes at once.
    """
    sizes = [_sizes(texts, count_tokens) for texts in sides if texts]
    lengths = [sum(row) for row in zip(*sizes, strict=True)]
    return (_summary(lengths, count_tokens, max_length) if lengths else None), lengths


def _sizes(
    texts: Sequence[str], count_tokens: Callable[[Sequence[str]], list[int]] | None
) -> list[int]:
    sizes = [len(text) for text in texts] if count_tokens is None else count_tokens(texts)
    if len(sizes) != len(texts):
        raise DataError(
            f"count_tokens gave {counted(len(sizes), 'length')} for "
            f"{counted(len(texts), 'text')}: it has to give one for each"
        )
    return sizes


def _summary(
    lengths: Sequence[int],
    count_tokens: Callable[[Sequence[str]], list[int]] | None,
    max_length: int | None,
) -> LengthSummary:
    limit = max_length if count_tokens is not None else None
    ranked = sorted(lengths)
    return LengthSummary(
        unit="characters" if count_tokens is None else "tokens",
        shortest=ranked[0],
        median=int(median(ranked)),
        percentile_95=ranked[max(0, -(-95 * len(ranked) // 100) - 1)],
        longest=ranked[-1],
        total=sum(ranked),
        max_length=limit,
        num_longer=0 if limit is None else sum(length > limit for length in ranked),
    )


def _length_findings(
    table: Table, summary: LengthSummary | None, lengths: Sequence[int]
) -> list[Finding]:
    if summary is None:
        message = f"{table.source} has no rows"
        return [Finding("no_rows", "error", message, [], 0, "give at least one row")]
    tally = Tally()
    for row, length in zip(table.rows, lengths, strict=True):
        if summary.max_length is not None and length > summary.max_length:
            tally.add("long_texts", row)
    what = f"longer than the {summary.max_length} tokens that the model takes at once"
    remedy = "nothing has to be done: they are read in windows"
    return tally.finding("long_texts", "note", what, remedy, verb="are")


def _validation_findings(train: Table, validation: Table) -> list[Finding]:
    tally = Tally()
    seen = set(_keys(train))
    for row, key in zip(validation.rows, _keys(validation), strict=True):
        if key in seen:
            tally.add("leaked_rows", row)
    findings = tally.finding(
        "leaked_rows",
        "warning",
        f"a text of {train.source}, which makes scores too good",
        "leave them out of one of the two",
        verb="repeat",
        of=validation.source,
    )
    known = train.label_counts()
    unknown = unknown_labels(train, validation)
    if unknown is not None:
        strange = [
            row
            for row, labels in zip(validation.rows, validation.row_labels(), strict=True)
            if any(label and label not in known for label in labels)
        ]
        remedy = "label both tables alike"
        findings.append(
            Finding("unknown_labels", "error", unknown, strange[:20], len(strange), remedy)
        )
    unseen = [label for label in known if label not in validation.label_counts()]
    if unseen and validation.labels is not None:
        message = f"{validation.source} has no row of {quoted(unseen)}, so these are not judged"
        remedy = "add rows of these labels to it"
        findings.append(Finding("unjudged_labels", "note", message, [], len(unseen), remedy))
    return findings


def _keys(table: Table) -> list[tuple[str, str]]:
    pairs = table.pairs or [""] * len(table)
    return list(zip(map(folded, table.texts), map(folded, pairs), strict=True))
