"""File checks: encoding, line ends, fields and quotes, before a file is read as a table."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from zhixing.data.doctors.findings import Finding, Tally, mark_findings, text_marks, worst_first
from zhixing.data.records import Format, Record, format_of, open_records
from zhixing.data.sources import (
    STANDARD_INPUT,
    UTF8_MARK,
    not_utf8,
    raw_lines,
    source_name,
    why_not_text,
)
from zhixing.errors import DataError

# No sentence or review is this long; a line that is has mostly swallowed its neighbours.
_LONG_LINE_BYTES = 100_000

_UNREADABLE_KINDS = ("not_text", "not_utf8", "nul_bytes")


def examine_file(path: str | Path) -> list[Finding]:
    """Check the bytes, lines and fields of a file, and tell all that is wrong at once.

    Reading stops at the first fault of most kinds; this goes on, so that a file can be mended in
    one go: bytes that are not UTF-8, NUL bytes, byte order marks, mixed line ends, very long
    lines, damaged text, rows with too few or too many fields, unbalanced quotes, lines that are
    not JSON objects. The memory needed does not grow with the file. A Parquet file has no such
    faults and gives no findings.

    Args:
        path: A file, which is read twice and so cannot be standard input.

    Returns:
        Findings, errors first. Their `unit` tells whether they name rows or lines.

    Raises:
        FileError: The file cannot be read.
        DataError: It is standard input.
    """
    path = Path(path)
    if path == STANDARD_INPUT:
        raise DataError("standard input cannot be examined, which takes two readings: name a file")
    form = format_of(path)
    if form == "parquet":
        return []
    findings = _line_findings(path)
    if not any(finding.kind in _UNREADABLE_KINDS for finding in findings):
        findings += _row_findings(path, form)
    return worst_first(findings)


@dataclass
class _Lines:
    """What was seen of the lines so far."""

    path: Path
    tally: Tally = field(default_factory=lambda: Tally("line"))
    offset: int = 0
    sound: bytes = b""
    bad_bytes: str = ""

    def see(self, number: int, raw: bytes) -> None:
        if number == 1 and raw.startswith(UTF8_MARK):
            self.tally.add("byte_order_mark", 1)
        self.tally.add("crlf" if raw.endswith(b"\r\n") else "lf", number)
        if len(raw) > _LONG_LINE_BYTES:
            self.tally.add("long_lines", number)
        if b"\0" in raw:
            self.tally.add("nul_bytes", number)
        self._see_text(number, raw)
        self.offset += len(raw)

    def _see_text(self, number: int, raw: bytes) -> None:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            self.tally.add("not_utf8", number)
            if not self.bad_bytes:
                where = self.offset + error.start
                self.bad_bytes = not_utf8(self.path, self.sound + raw, offset=where, line=number)
            return
        self.sound = self.sound if raw.isascii() else raw
        for kind in text_marks(text.replace("\0", "")):
            self.tally.add(kind, number)


def _line_findings(path: Path) -> list[Finding]:
    seen = _Lines(path)
    try:
        for number, raw in enumerate(raw_lines(path), start=1):
            foreign = why_not_text(raw, path) if number == 1 else None
            if foreign is not None:
                return [Finding("not_text", "error", foreign, [1], 1, unit="line")]
            seen.see(number, raw)
    except DataError as error:
        # A line without end: nothing after it can be looked at.
        return [Finding("not_text", "error", str(error), [], 1, unit="line")]
    tally = seen.tally
    findings = tally.finding("nul_bytes", "error", "a NUL byte", "save the file as UTF-8 text")
    if seen.bad_bytes:
        rows, count = tally.rows["not_utf8"], tally.counts["not_utf8"]
        remedy = "convert the file to UTF-8 with the command given"
        findings.append(
            Finding("not_utf8", "error", seen.bad_bytes, rows, count, remedy, unit="line")
        )
    rarer = min(("crlf", "lf"), key=lambda kind: tally.counts.get(kind, 0))
    # The last line may lack its end, which makes no mixture.
    if tally.counts.get(rarer, 0) > 1:
        name = {"crlf": "a carriage return and a line feed", "lf": "a line feed alone"}[rarer]
        what, remedy = f"in {name}, unlike the others", "run dos2unix on the file"
        mixed = tally.finding(rarer, "warning", what, remedy, verb="end")
        findings += [replace(finding, kind="mixed_line_ends") for finding in mixed]
    return [
        *findings,
        *mark_findings(tally),
        *tally.finding(
            "long_lines",
            "warning",
            f"longer than {_LONG_LINE_BYTES:,} bytes",
            "look whether a quote is open or line ends are missing",
            verb="are",
        ),
        *tally.finding("byte_order_mark", "note", "a byte order mark", "nothing: it is dropped"),
    ]


def _row_findings(path: Path, form: Format | None) -> list[Finding]:
    try:
        file = open_records(path, form)
    except DataError as error:
        return [Finding("header", "error", str(error), [], 1, "write a header and rows")]
    width = len(file.names or [])
    tally = Tally()
    num_rows = 0
    for record in file.records:
        num_rows = record.row
        kind = _kind_of_fault(record, width)
        if kind:
            tally.add(kind, record.row)
        elif form == "tsv" and _has_quoted_field(record):
            tally.add("quotes_in_tsv", record.row)
    # A text that is one quotation is nothing to speak of; quoting every tenth is a habit.
    if 10 * tally.counts.get("quotes_in_tsv", 0) < num_rows:
        tally.rows.pop("quotes_in_tsv", None)
    fields = f"fields than the {width} of the header"
    mend = "mend these rows or leave them out"
    return [
        *tally.finding("too_few_fields", "error", f"fewer {fields}", mend, verb="have"),
        *tally.finding("too_many_fields", "error", f"more {fields}", mend, verb="have"),
        *tally.finding(
            "unbalanced_quotes",
            "error",
            "a quote that is not closed, or text after a closing one",
            "write a quote within a quoted field twice",
        ),
        *tally.finding(
            "not_json", "error", "something other than a JSON object", "write one object a line"
        ),
        *tally.finding(
            "quotes_in_tsv",
            "note",
            "fields in quotes, which are read as part of the text",
            f"save {source_name(path)} as CSV if they are not meant",
        ),
    ]


def _kind_of_fault(record: Record, width: int) -> str:
    if not record.fault:
        return ""
    if isinstance(record.values, dict):
        return "not_json"
    if "quote" in record.fault:
        return "unbalanced_quotes"
    return "too_few_fields" if len(record.values) < width else "too_many_fields"


def _has_quoted_field(record: Record) -> bool:
    return any(
        isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"'
        for value in record.values
    )
