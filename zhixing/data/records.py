"""Parsers of CSV, TSV, JSONL and plain text: rows with number and what is wrong with them."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from zhixing.data.columns import is_known
from zhixing.data.sources import source_name, text_lines
from zhixing.data.wording import counted, quoted
from zhixing.errors import ConfigError, DataError

Format = Literal["csv", "tsv", "jsonl", "parquet", "txt"]
# A quoted field may go over many lines, but one of this many characters is a quote left open.
_MAX_FIELD_CHARACTERS = 2**24

Lines = Iterator[tuple[int, str]]

_FORMAT_OF_ENDING: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "txt",
    ".text": "txt",
}


class Record(NamedTuple):
    """One row as it stands in the file.

    `values` holds a string for each column, or for JSONL the object; `fault` says what is wrong
    with the row and is empty where nothing is.
    """

    row: int
    line: int
    values: Sequence[object] | dict[str, object]
    fault: str
    size: int


@dataclass(frozen=True)
class RecordFile:
    """A text file whose header has been read; `names` is None where each row names its columns."""

    source: str
    names: list[str] | None
    records: Iterator[Record]


def checked_format(format: str | None) -> Format | None:
    """Take the name of a format from a caller.

    Raises:
        ConfigError: There is no such format.
    """
    form = next((known for known in get_args(Format) if known == format), None)
    if format is not None and form is None:
        raise ConfigError(f'format is "{format}"; it must be one of {quoted(get_args(Format))}')
    return form


def format_of(path: Path) -> Format | None:
    """Tell the format from the ending of the name, .gz aside; None where it says nothing."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return _FORMAT_OF_ENDING.get(name.suffix.lower())


def open_records(path: Path, form: Format | None, *, asked: Sequence[str] = ()) -> RecordFile:
    """Read the header of a text file and stand before its first row.

    Fields of CSV may be quoted as RFC 4180 says, and stand between commas, or between semicolons
    or tabs where the header has no comma. TSV knows no quoting: quote characters are part of the
    text. An empty line is no row, except where the text is the only column, but it is counted.

    Args:
        path: The file, or `STANDARD_INPUT`.
        form: The format; without one it is guessed from the first line. A line that names a known
            or asked column is a header; any other line is plain text.
        asked: Names of columns that the caller wants.

    Raises:
        FileError: The file cannot be read.
        DataError: It is empty, is not text, or has a header that names a column twice.
    """
    source = source_name(path)
    lines = text_lines(path)
    empty = []
    for first in lines:
        if first[1].strip():
            break
        empty.append(first)
    else:
        raise DataError(f"{source} is empty: it needs at least one row")
    form = form or _guess(first[1], asked)
    if form == "jsonl":
        return RecordFile(source, None, _json_records(chain([first], lines)))
    if form == "txt":
        return RecordFile(source, ["text"], _text_records(chain(empty, [first], lines)))
    if form == "tsv":
        names = _header(first[1].split("\t"), source)
        return RecordFile(source, names, _rows(_tab_fields(lines), len(names)))
    delimiter = _delimiter(first[1])
    fields = _comma_fields(chain([first], lines), delimiter)
    names = _header(next(fields)[1], source)
    return RecordFile(source, names, _rows(fields, len(names)))


def _guess(line: str, asked: Sequence[str]) -> Format:
    if line.startswith("{") or line.startswith("[{") or line == "[":
        return "jsonl"
    for delimiter, form in (("\t", "tsv"), (_delimiter(line), "csv")):
        names = [name.strip('" ') for name in line.split(delimiter)]
        if len(names) > 1 and any(is_known(name) or name in asked for name in names):
            return "tsv" if form == "tsv" else "csv"
    return "txt"


def _delimiter(header: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    return next((mark for mark in ",;\t" if mark in bare), ",")


def _header(fields: Sequence[str], source: str) -> list[str]:
    names = [field.strip() for field in fields]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(
            f"{source} has a header that names {quoted(twice)} more than once: rename the columns"
        )
    if not any(names):
        raise DataError(f"{source} has a first line without names: it has to name the columns")
    return names


def _rows(fields: Iterator[tuple[int, list[str], str]], width: int) -> Iterator[Record]:
    for row, (line, values, fault) in enumerate(fields, start=1):
        if len(values) != width:
            if values == [""]:
                continue
            fault = fault or f"{counted(len(values), 'field')}, not {width}"
        yield Record(row, line, values, fault, sum(map(len, values)))


def _tab_fields(lines: Lines) -> Iterator[tuple[int, list[str], str]]:
    for number, line in lines:
        yield number, line.split("\t"), ""


def _comma_fields(lines: Lines, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    for number, line in lines:
        if '"' in line:
            fields, fault = _quoted_fields(line, lines, delimiter)
            yield number, fields, fault
        else:
            yield number, line.split(delimiter), ""


def _quoted_fields(line: str, lines: Lines, delimiter: str) -> tuple[list[str], str]:
    # The csv module is not used here: it takes text after a closing quote and a quote that is
    # never closed without a word, and its limit on a field's length is one for the whole process.
    fields: list[str] = []
    fault = ""
    start = 0
    while True:
        text = ""
        if line.startswith('"', start):
            text, line, start = _quoted_field(line, start + 1, lines)
            if start < 0:
                return [*fields, text], "a quote that is never closed"
        end = line.find(delimiter, start)
        rest = line[start:] if end < 0 else line[start:end]
        if text and rest:
            fault = "text after a closing quote (a quote within quotes is written twice)"
        fields.append(text + rest)
        if end < 0:
            return fields, fault
        start = end + 1


def _quoted_field(line: str, start: int, lines: Lines) -> tuple[str, str, int]:
    """Read up to the closing quote: the text, the line it ends in, and where (-1: it does not)."""
    parts: list[str] = []
    size = 0
    while True:
        end = line.find('"', start)
        if end < 0:
            parts.append(line[start:] + "\n")
            size += len(parts[-1])
            following = next(lines, None)
            if following is None or size > _MAX_FIELD_CHARACTERS:
                return "".join(parts), line, -1
            line, start = following[1], 0
        elif line.startswith('""', end):
            parts.append(line[start : end + 1])
            start = end + 2
        else:
            parts.append(line[start:end])
            return "".join(parts), line, end + 1


def _json_records(lines: Lines) -> Iterator[Record]:
    for number, line in lines:
        if line.strip():
            values, fault = _json_object(line)
            yield Record(number, number, values, fault, len(line))


def _json_object(line: str) -> tuple[dict[str, object], str]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return {}, f"not JSON ({error.msg} at column {error.colno})"
    except (ValueError, RecursionError) as error:
        return {}, f"not JSON that can be read ({type(error).__name__})"
    if isinstance(value, dict):
        return value, ""
    kinds = {list: "a list", str: "a string", type(None): "null", bool: "true or false"}
    return {}, f"{kinds.get(type(value), 'a number')}, not an object"


def _text_records(lines: Lines) -> Iterator[Record]:
    for number, line in lines:
        yield Record(number, number, [line], "", len(line))
