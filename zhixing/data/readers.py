"""Tables from files, standard input, lists and data frames: whole, or piece by piece."""

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import glob
from itertools import chain
from pathlib import Path

from zhixing.data.aligned import aligned_chunks, aligned_paths
from zhixing.data.cells import Cells, Rules, are_whole_floats, build_table, separator_of
from zhixing.data.chunks import Chunk, file_chunks, memory_chunks
from zhixing.data.columns import find_columns
from zhixing.data.records import checked_format
from zhixing.data.roles import LABELLED, TEXTS, Columns, Role
from zhixing.data.sources import STANDARD_INPUT, cannot_open, source_name
from zhixing.data.table import Table, concatenate
from zhixing.data.wording import joined
from zhixing.errors import ConfigError, DataError, FileError

# Large enough that faulty rows of most files are told all at once.
_ROWS_WHEN_WHOLE = 65_536


def read_table(
    data: object,
    *,
    columns: Mapping[str, str] = Columns(),
    roles: Sequence[Role] = LABELLED,
    multi_label: bool = False,
    label_separator: str | None = None,
    format: str | None = None,
    keep_blanks: bool = False,
) -> Table:
    r"""Read all rows, checked, so that a task can trust them.

    Labels are kept as strings: 1 and 1.0 both become "1", true becomes "true". CSV is read with
    its quoting, TSV without any: there, quote characters are part of the text.

    Args:
        data: A path (.csv, .tsv, .jsonl, .parquet, .txt with one text a line; text may be
            gzipped), a pattern such as "reviews/*.csv", two files whose lines belong together,
            "train.en,train.fr", "-" for standard input, a list of texts, tuples or dicts, a dict
            of columns, or a polars or pandas frame.
        columns: Which columns hold what; the others are found by their names.
        roles: What is read: `LABELLED` and `PAIRS` of `roles.py`, or a task's own.
        multi_label: A row has any number of labels: a list, or a string with separators. An
            empty string or list says that none applies.
        label_separator: What stands between labels in a string; by default "|" where any cell
            holds one, else ",".
        format: csv, tsv, jsonl, parquet or txt, where the name of the file does not tell.
        keep_blanks: Keep blank texts, and missing labels as "", for an examination or for
            prediction.

    Raises:
        FileError: A file does not exist or cannot be read.
        DataError: The source is empty, is not what its format says, lacks a column, or has rows
            that are blank, missing or of the wrong kind.
        ConfigError: A setting is not one of those allowed.

    Example:
        >>> table = read_table([("fine", 1), ("awful", 0)])
        >>> table.texts, table.labels, table.rows
        (['fine', 'awful'], ['1', '0'], [1, 2])
    """
    if label_separator == "":
        raise ConfigError('label_separator is "", which separates nothing: "|" and "," would')
    wanted = _Wanted(columns, tuple(roles), multi_label)
    sources = _sources(data, wanted, format, _ROWS_WHEN_WHOLE)
    parts = [_whole(source, wanted) for source in sources]
    _refuse_unlike_parts(parts)
    labels = [cell for part in parts for cell in part.by_role.get("label", [])]
    rules = Rules(
        keep_blanks=keep_blanks,
        multi_label=multi_label,
        separator=label_separator or separator_of(labels),
        whole_floats=are_whole_floats(labels),
    )
    tables = []
    last_row = 0
    for part in parts:
        # Messages name the row of the one file; the joined table counts on.
        table = build_table(part, rules, roles)
        tables.append(replace(table, rows=[last_row + row for row in table.rows]))
        last_row = tables[-1].rows[-1]
    name = sources[0].short_name if len(sources) == 1 else f"{len(sources)} files"
    return replace(concatenate(tables), source=name)


def stream_tables(
    data: object,
    *,
    columns: Mapping[str, str] = Columns(),
    roles: Sequence[Role] = TEXTS,
    rows_at_a_time: int = 1024,
    format: str | None = None,
) -> Iterator[Table]:
    """Read texts piece by piece, for prediction on more rows than the memory holds.

    The memory needed is bounded by the rows of a piece, not by the file. Blank texts are kept, so
    that every row has its answer. Row numbers go on from piece to piece. What `read_table` refuses
    at once is refused here when its piece is reached; a path that does not exist, at once.

    Args:
        data: As for `read_table`.
        columns: Which columns hold the texts.
        roles: What is read.
        rows_at_a_time: How many rows a piece has at most.
        format: csv, tsv, jsonl, parquet or txt, where the name of the file does not tell.

    Raises:
        FileError: A file does not exist or cannot be read.
        DataError: As for `read_table`, labels aside.
        ConfigError: A setting is not one of those allowed.

    Example:
        >>> [table.rows for table in stream_tables(["a", "b", "c"], rows_at_a_time=2)]
        [[1, 2], [3]]
    """
    if rows_at_a_time < 1:
        raise ConfigError(f"rows_at_a_time is {rows_at_a_time}; it must be at least 1")
    wanted = _Wanted(columns, tuple(roles))
    return _stream(_sources(data, wanted, format, rows_at_a_time), wanted)


def expand_paths(data: str | Path) -> list[Path]:
    """List the files that a path or a pattern names, in order of their names.

    A path that exists is that file, even where its name looks like a pattern. Two files whose
    lines belong together, "train.en,train.fr", are both listed.

    Raises:
        FileError: There is no such file, or no file fits the pattern.
    """
    aligned = aligned_paths(data)
    if aligned is not None:
        return list(aligned)
    path = Path(data)
    if path == STANDARD_INPUT:
        return [path]
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and any(mark in str(data) for mark in "*?["):
            return _matching(str(data))
        raise FileError(cannot_open(path, error)) from error
    if stat.S_ISDIR(mode):
        raise FileError(cannot_open(path, IsADirectoryError()))
    return [path]


def refuse_itself(data: str | Path, output: str | Path) -> None:
    """Refuse to put the answers in the place of the texts.

    Raises:
        ConfigError: If the output is one of the files that are read.
    """
    if any(path.samefile(output) for path in expand_paths(data)):
        raise ConfigError(f"{output} is also what is read, and would be lost; name another output")


@dataclass(frozen=True)
class _Wanted:
    columns: Mapping[str, str]
    roles: tuple[Role, ...]
    multi_label: bool = False

    def find(self, chunk: Chunk, source: str) -> dict[str, str]:
        return find_columns(
            list(chunk.columns),
            self.columns,
            source=source,
            roles=self.roles,
            multi_label=self.multi_label,
        )


@dataclass(frozen=True)
class _Source:
    """Something to read: its name in messages, its name in a table, and its rows."""

    name: str
    short_name: str
    chunks: Iterator[Chunk]


def _sources(
    data: object, wanted: _Wanted, format: str | None, rows_at_a_time: int
) -> list[_Source]:
    form = checked_format(format)
    if not isinstance(data, str | Path):
        name, chunks = memory_chunks(data, rows_at_a_time=rows_at_a_time)
        return [_Source(name, name, chunks)]
    aligned = aligned_paths(data)
    if aligned is not None:
        name = " and ".join(path.name for path in aligned)
        return [_Source(name, name, aligned_chunks(*aligned, rows_at_a_time=rows_at_a_time))]
    asked = list(wanted.columns.values())
    sources = []
    for path in expand_paths(data):
        name = source_name(path)
        chunks = file_chunks(path, form, asked=asked, rows_at_a_time=rows_at_a_time)
        sources.append(_Source(name, name if path == STANDARD_INPUT else path.name, chunks))
    return sources


def _matching(pattern: str) -> list[Path]:
    paths = [Path(name) for name in sorted(glob(pattern, recursive=True))]
    files = [path for path in paths if path.is_file()]
    if not files:
        raise FileError(f'no file fits the pattern "{pattern}": check it with ls')
    return files


def _whole(source: _Source, wanted: _Wanted) -> Cells:
    chunks = list(_some(source))
    return _cells(chunks, wanted.find(chunks[0], source.name), source.name)


def _stream(sources: Sequence[_Source], wanted: _Wanted) -> Iterator[Table]:
    rows_before = last_row = 0
    for source in sources:
        columns: dict[str, str] = {}
        for chunk in _some(source):
            columns = columns or wanted.find(chunk, source.name)
            cells = _cells([chunk], columns, source.name)
            table = build_table(cells, Rules(keep_blanks=True), wanted.roles)
            rows = [rows_before + row for row in table.rows]
            last_row = rows[-1]
            yield replace(table, rows=rows, source=source.short_name)
        rows_before = last_row


def _some(source: _Source) -> Iterator[Chunk]:
    first = next(source.chunks, None)
    if first is None:
        raise DataError(f"{source.name} has no rows: it needs at least one")
    return chain([first], source.chunks)


def _cells(chunks: Sequence[Chunk], columns: dict[str, str], source: str) -> Cells:
    by_role = {
        role: [cell for chunk in chunks for cell in chunk.cells(name)]
        for role, name in columns.items()
    }
    return Cells(source, [row for chunk in chunks for row in chunk.rows], columns, by_role)


def _refuse_unlike_parts(parts: Sequence[Cells]) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.columns.keys() != first.columns.keys():
            raise DataError(
                f"{part.source} has columns for {joined(sorted(part.columns))} but {first.source} "
                f"has them for {joined(sorted(first.columns))}: give files that are alike"
            )
