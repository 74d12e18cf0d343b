"""Findings of a data check, and the marks of damage: mojibake, HTML, control characters."""

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

from zhixing.data.wording import counted, numbered

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

_MAX_ROWS_KEPT = 20


@dataclass(frozen=True)
class Finding:
    """Tell one thing that is wrong or worth knowing, where, and what to do about it.

    Attributes:
        kind: A name for programs: "duplicate_rows".
        severity: An error stops training; a warning likely harms it; a note is worth knowing.
        message: One sentence.
        rows: The first 20 rows (or lines) concerned.
        count: How many there are in all.
        remedy: What to do; empty where nothing has to be.
        unit: Whether `rows` holds row numbers or line numbers.
    """

    kind: str
    severity: Severity
    message: str
    rows: list[int]
    count: int
    remedy: str = ""
    unit: Literal["row", "line"] = "row"

    def to_dict(self) -> dict[str, object]:
        """Hand out the fields as plain values, fit for JSON."""
        return asdict(self)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by severity."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


@dataclass
class Tally:
    """Count rows by kind, keeping the first of each; bounded however many rows go by."""

    unit: Literal["row", "line"] = "row"
    rows: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, row: int) -> None:
        """Count one row."""
        first = self.rows.setdefault(kind, [])
        if len(first) < _MAX_ROWS_KEPT:
            first.append(row)
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def finding(
        self,
        kind: str,
        severity: Severity,
        what: str,
        remedy: str,
        *,
        verb: str = "hold",
        of: str = "",
    ) -> list[Finding]:
        """Make the finding of one kind, as a list that is empty where nothing was counted.

        The verb is that for several rows, followed by what they hold or do; `of` names their
        source, where it is not the one that is examined.
        """
        if kind not in self.rows:
            return []
        rows, count = self.rows[kind], self.counts[kind]
        verb = verb if count > 1 else {"have": "has", "are": "is"}.get(verb, f"{verb}s")
        where = numbered(rows, self.unit, total=count)
        of = f" of {of}" if of else ""
        message = f"{counted(count, self.unit)}{of} {verb} {what} ({where})"
        return [Finding(kind, severity, message, rows, count, remedy, self.unit)]


def text_marks(text: str) -> list[str]:
    r"""Name the marks of damage in a text: mojibake, HTML entities and tags, control characters.

    Example:
        >>> text_marks("cafÃ© &amp; bar"), text_marks("café & bar")
        (['mojibake', 'html_entities'], [])
    """
    return [kind for kind, (is_in, *_) in _MARKS.items() if is_in(text)]


def mark_findings(tally: Tally) -> list[Finding]:
    """Make the findings of all marks counted by `text_marks`."""
    return [
        finding
        for kind, (_, severity, what, remedy) in _MARKS.items()
        for finding in tally.finding(kind, severity, what, remedy)
    ]


def count_marks(texts: Iterable[str], rows: Iterable[int]) -> Tally:
    """Count the rows that bear each mark."""
    tally = Tally()
    for text, row in zip(texts, rows, strict=True):
        for kind in text_marks(text):
            tally.add(kind, row)
    return tally


# What the bytes of UTF-8 look like when they are read as Windows-1252: a first byte and as many
# following ones as it announces. Of the two-byte forms only those of Latin letters are taken:
# "Ü»" and its like are German words in French quotes.
_FOLLOWING = "[\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
_MOJIBAKE = re.compile(f"[ÂÃ]{_FOLLOWING}|[à-ï]{_FOLLOWING}{{2}}|ð{_FOLLOWING}{{3}}")

_ENTITY = re.compile(
    r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#x[0-9a-fA-F]{1,6});|#\d{2,5};|(?<![\w&])quot;"
)
_TAG = re.compile(r"</?(?:br|p|b|i|a|div|span|em|strong|li|ul|h[1-6])\b[^<>]{0,200}>", re.I)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _has_mojibake(text: str) -> bool:
    if text.isascii():
        return False
    return any(_is_utf8(match[0]) for match in _MOJIBAKE.finditer(text))


def _is_utf8(run: str) -> bool:
    # Where Windows-1252 has no character, programs keep the byte as it is.
    raw = b"".join(
        bytes([ord(character)]) if ord(character) < 256 else character.encode("cp1252")
        for character in run
    )
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_MARKS: dict[str, tuple[Callable[[str], object], Severity, str, str]] = {
    "mojibake": (
        _has_mojibake,
        "warning",
        'text that was decoded wrongly, such as "Ã©" for "é"',
        "go back to the original file and read it as UTF-8",
    ),
    "replacement_characters": (
        lambda text: "\ufffd" in text,
        "warning",
        'the replacement character "\ufffd", where a character has been lost',
        "go back to the original file and read it in its own encoding",
    ),
    "html_entities": (
        _ENTITY.search,
        "note",
        'HTML entities or what is left of them, such as "&amp;" or "#39;"',
        "unescape them (html.unescape), and do so wherever the model is used",
    ),
    "html_tags": (
        _TAG.search,
        "note",
        'HTML tags, such as "<br />"',
        "remove them, and do so wherever the model is used",
    ),
    "control_characters": (
        _CONTROL.search,
        "warning",
        "control characters, which nobody sees",
        "remove them",
    ),
}
