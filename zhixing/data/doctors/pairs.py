"""Checks of a parallel corpus: copies, length ratios, misalignment, language, leakage."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from math import exp, log
from statistics import median
from typing import Any

import numpy

from zhixing.data.cells import is_blank
from zhixing.data.doctors.findings import Finding, Tally, count_marks, mark_findings, worst_first
from zhixing.data.doctors.labels import Examination, measure_lengths
from zhixing.data.table import Table
from zhixing.data.wording import counted, folded
from zhixing.errors import DataError

# A target this many times longer, or shorter, than its source would be at the table's own ratio is
# rarely the translation of that source alone.
MAX_LENGTH_RATIO = 2.5

# Shorter texts vary too much: "Go!" is "Partez maintenant !".
MIN_RATIO_CHARACTERS = 24

# Sides are told apart by three letters in a row, as counted in the table itself: fewer
# texts than this, or a text of fewer letters, say too little.
MIN_LANGUAGE_TEXTS = 200
MIN_LANGUAGE_LETTERS = 20

# By how much, a letter, a text has to look more like the other side's.
MIN_LANGUAGE_MARGIN = 0.25

# Rows whose lengths are compared with those of targets some rows away, to find lines that slipped;
# the correlation of well-aligned sentences is about 0.9, that of others 0.
SLIP_BLOCK = 200
SLIP_STEPS = (0, -1, 1, -2, 2)
MIN_SLIP_CORRELATION, MAX_SLIPPED_CORRELATION = 0.5, 0.25

_NUMBER = re.compile(r"\d+")
_NON_LETTERS = re.compile(r"[\W\d_]+")


def examine_pairs(
    table: Table,
    validation: Table | None = None,
    *,
    count_tokens: Callable[[Sequence[str]], list[int]] | None = None,
    max_length: int | None = None,
) -> Examination:
    """Check sentence pairs for all that would spoil a translator or make its scores untrue.

    It raises nothing about the rows: blank sides, copies, odd lengths, other numbers, sides in the
    other language, lines that slipped, repeats and leaks all become findings. What it needs to know
    of the two languages it learns from the table: how long a target usually is for its source, and
    what the letters of each side look like. So it works for any two languages, and judges few rows
    or short ones less.

    Validation pairs are held against the others. Tokens are counted as the model's tokenizer does,
    special ones aside. Read the table with `keep_blanks=True`.

    Raises:
        DataError: If the table has no targets.
    """
    if table.targets is None:
        raise DataError(f"{table.source} has no targets; name their column with --target COLUMN")
    rows = [i for i, pair in enumerate(_pairs(table)) if not any(is_blank(text) for text in pair)]
    sound = table.select(rows)
    (summary, lengths), (target_summary, target_lengths) = (
        measure_lengths([side], count_tokens, max_length) for side in (table.texts, table.targets)
    )
    findings = [
        *_blank_findings(table),
        *_repeat_findings(sound),
        *_copy_findings(sound),
        *_length_findings(sound),
        *_number_findings(sound),
        *_slip_findings(sound),
        *_language_findings(sound),
        *_mark_findings(table),
        *_window_findings(table, lengths, target_lengths, max_length),
    ]
    if validation is not None:
        findings += _leak_findings(sound, validation)
    return Examination(
        source=table.source,
        num_rows=len(table),
        labels={},
        lengths=summary,
        findings=worst_first(findings),
        target_lengths=target_summary,
    )


def _pairs(table: Table) -> list[tuple[str, str]]:
    return list(zip(table.texts, table.targets or [], strict=True))


def _blank_findings(table: Table) -> list[Finding]:
    if not len(table):
        message = f"{table.source} has no rows"
        return [Finding("no_rows", "error", message, [], 0, "give at least one pair")]
    tally = Tally()
    for row, (source, target) in zip(table.rows, _pairs(table), strict=True):
        if is_blank(source):
            tally.add("blank_sources", row)
        if is_blank(target):
            tally.add("blank_targets", row)
    remedy = "fill it in or leave the pair out"
    return [
        *tally.finding("blank_sources", "error", "a blank source", remedy),
        *tally.finding("blank_targets", "error", "a blank target", remedy),
    ]


def _repeat_findings(table: Table) -> list[Finding]:
    tally = Tally()
    seen: set[tuple[str, str]] = set()
    for row, key in zip(table.rows, _keys(table), strict=True):
        if key in seen:
            tally.add("duplicate_pairs", row)
        seen.add(key)
    variants = Counter(source for source, _ in seen)
    many = [source for source, count in variants.items() if count > 1]
    findings = tally.finding(
        "duplicate_pairs",
        "note",
        "an earlier pair",
        "leave them out unless they are that frequent in use",
        verb="repeat",
    )
    if many:
        number = counted(len(many), "source")
        verb = "has" if len(many) == 1 else "have"
        message = f"{number} {verb} more than one target, as sentences may be said in several ways"
        findings.append(Finding("several_targets", "note", message, [], len(many)))
    return findings


def _copy_findings(table: Table) -> list[Finding]:
    tally = Tally()
    for row, (source, target) in zip(table.rows, _keys(table), strict=True):
        if source == target and len(source.split()) > 2 and _NON_LETTERS.sub("", source):
            tally.add("copied_sources", row)
    return tally.finding(
        "copied_sources",
        "warning",
        "a target that is the source itself",
        "translate them or leave them out: a model learns to copy from few of these",
    )


def _length_findings(table: Table) -> list[Finding]:
    ratios = [
        log(len(target) / len(source))
        for source, target in _pairs(table)
        if len(source) >= MIN_RATIO_CHARACTERS
    ]
    if not ratios:
        return []
    usual = exp(median(ratios))
    tally = Tally()
    for row, (source, target) in zip(table.rows, _pairs(table), strict=True):
        expected = usual * len(source)
        if max(expected, len(target)) < MIN_RATIO_CHARACTERS:
            continue
        if not 1 / MAX_LENGTH_RATIO <= (len(target) + 4) / (expected + 4) <= MAX_LENGTH_RATIO:
            tally.add("odd_lengths", row)
    return tally.finding(
        "odd_lengths",
        "warning",
        f"a target over {MAX_LENGTH_RATIO:g} times longer or shorter than the usual {usual:.2f} "
        f"characters for one of its source",
        "look whether it is the translation of that source, and of no more",
    )


def _number_findings(table: Table) -> list[Finding]:
    tally = Tally()
    for row, pair in zip(table.rows, _pairs(table), strict=True):
        source, target = ({int(digits) for digits in _NUMBER.findall(text)} for text in pair)
        # Small ones may be words on the other side.
        large = {number for number in source if number > 12}
        if large and large.isdisjoint(target):
            tally.add("other_numbers", row)
    return tally.finding(
        "other_numbers",
        "warning",
        "a source with numbers none of which is in its target",
        "look whether they belong together",
    )


def _slip_findings(table: Table) -> list[Finding]:
    """Find where lines slipped: from there on lengths go with those of a neighbour's target."""
    sources, targets = (
        numpy.log([len(text) for text in side]) for side in (table.texts, table.targets or [])
    )
    for start in range(0, len(table) - SLIP_BLOCK + 1, SLIP_BLOCK):
        alike = {
            step: _correlation(
                sources[start : start + SLIP_BLOCK], targets[start + step :][:SLIP_BLOCK]
            )
            for step in SLIP_STEPS
            if start + step >= 0
        }
        step = max(alike, key=lambda step: alike[step])
        if step == 0 or alike[step] < MIN_SLIP_CORRELATION or alike[0] > MAX_SLIPPED_CORRELATION:
            continue
        where = "below" if step > 0 else "above"
        message = (
            f"in rows {table.rows[start]} to {table.rows[start + SLIP_BLOCK - 1]} targets stand "
            f"{counted(abs(step), 'row')} {where} their sources, as their lengths show "
            f"(correlation {alike[step]:.2f} there, {alike[0]:.2f} where they stand)"
        )
        remedy = "look before these rows for a line that is missing, split or doubled on one side"
        rows = table.rows[start : start + 20]
        return [Finding("slipped_rows", "error", message, rows, len(table) - start, remedy)]
    return []


def _correlation(a: Any, b: Any) -> float:
    a = a[: len(b)]
    if len(a) < SLIP_BLOCK // 2 or not a.std() or not b.std():
        return 0.0
    return float(numpy.corrcoef(a, b)[0, 1])


def _language_findings(table: Table) -> list[Finding]:
    """Find sides that look like the other side's language, by the letters of the table itself."""
    if len(table) < MIN_LANGUAGE_TEXTS:
        return []
    counts: list[Counter[str]] = [Counter(), Counter()]
    letters = [[_letters(text) for text in side] for side in (table.texts, table.targets or [])]
    for count, texts in zip(counts, letters, strict=True):
        for text in texts:
            count.update(_trigrams(text))
    kinds = len(counts[0].keys() | counts[1].keys())
    totals = [side.total() for side in counts]
    tally = Tally()
    for row, *texts in zip(table.rows, *letters, strict=True):
        for text_side, text in enumerate(texts):
            if len(text) < MIN_LANGUAGE_LETTERS:
                continue
            likely = [0.0, 0.0]
            for letter in _trigrams(text):
                for side in (0, 1):
                    # A text does not speak for itself.
                    spare = 1 if side == text_side else 0
                    seen = max(0, counts[side][letter] - spare)
                    likely[side] += log((seen + 0.5) / (totals[side] + 0.5 * kinds))
            if likely[1 - text_side] - likely[text_side] > MIN_LANGUAGE_MARGIN * len(text):
                tally.add("sources_in_other" if text_side == 0 else "targets_in_other", row)
    remedy = "swap or translate them, or leave them out"
    return [
        *tally.finding(
            "sources_in_other",
            "warning",
            "a source in what looks like the targets' language",
            remedy,
        ),
        *tally.finding(
            "targets_in_other",
            "warning",
            "a target in what looks like the sources' language",
            remedy,
        ),
    ]


def _letters(text: str) -> str:
    return " ".join(_NON_LETTERS.sub(" ", text.casefold()).split())


def _trigrams(text: str) -> list[str]:
    return [text[i : i + 3] for i in range(len(text) - 2)]


def _mark_findings(table: Table) -> list[Finding]:
    return mark_findings(count_marks(map("\n".join, _pairs(table)), table.rows))


def _window_findings(
    table: Table, lengths: Sequence[int], target_lengths: Sequence[int], max_length: int | None
) -> list[Finding]:
    tally = Tally()
    for row, *row_lengths in zip(table.rows, lengths, target_lengths, strict=True):
        if max_length is not None and max(row_lengths) > max_length:
            tally.add("long_pairs", row)
    return tally.finding(
        "long_pairs",
        "warning",
        f"a side of more than the {max_length} tokens that the model takes at once",
        "part them into sentences, as training leaves them out",
    )


def _leak_findings(table: Table, validation: Table) -> list[Finding]:
    seen = set(_keys(table))
    sources = {source for source, _ in seen}
    tally = Tally()
    for row, key in zip(validation.rows, _keys(validation), strict=True):
        if key in seen:
            tally.add("leaked_pairs", row)
        elif key[0] in sources:
            tally.add("leaked_sources", row)
    remedy = "leave them out of one of the two"
    return [
        *tally.finding(
            "leaked_pairs",
            "warning",
            f"a pair of {table.source}, which makes scores too good",
            remedy,
            verb="repeat",
            of=validation.source,
        ),
        *tally.finding(
            "leaked_sources",
            "note",
            f"a source of {table.source} with another target",
            remedy,
            verb="repeat",
            of=validation.source,
        ),
    ]


def _keys(table: Table) -> list[tuple[str, str]]:
    return [(folded(source), folded(target)) for source, target in _pairs(table)]
