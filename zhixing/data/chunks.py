"""Read any table (CSV, JSONL, Parquet, frames) in chunks: bounded rows, as columns of cells."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from zhixing.data.records import Format, Record, format_of, open_records
from zhixing.data.sources import STANDARD_INPUT, cannot_open, source_name
from zhixing.data.wording import clipped, counted, joined, numbered, quoted
from zhixing.errors import DataError, FileError

# A chunk is closed early when its texts reach this size, so that a thousand long texts do not
# fill the memory.
MAX_CHUNK_CHARACTERS = 16 * 2**20

# A Parquet file is decoded a row group at a time at best; slices much smaller than a row group
# would decode it again and again.
_PARQUET_SLICE_ROWS = 16_384


@dataclass(frozen=True)
class Chunk:
    """A chunk of consecutive rows, column by column."""

    rows: list[int]
    columns: Mapping[str, list[object] | pl.Series]

    def cells(self, name: str) -> list[object]:
        """List the cells of one column; JSONL rows need not have it, and then it holds None."""
        column = self.columns.get(name)
        if column is None:
            return [None] * len(self.rows)
        return column.to_list() if isinstance(column, pl.Series) else column


def file_chunks(
    path: Path, form: Format | None, *, asked: Sequence[str], rows_at_a_time: int
) -> Iterator[Chunk]:
    """Read one file in chunks; `open_records` says how the formats are read.

    Without a format, the ending of the file's name or its first line tells.

    Raises:
        FileError: The file cannot be read.
        DataError: It is not what its format says, or rows are of the wrong form; all such rows of
            a chunk are told at once.
    """
    form = form or format_of(path)
    if form == "parquet":
        yield from _parquet_chunks(path, rows_at_a_time)
        return
    file = open_records(path, form, asked=asked)
    for batch in _batches(file.records, rows_at_a_time):
        _refuse_faults(batch, path)
        rows = [record.row for record in batch]
        if file.names is None:
            yield Chunk(rows, _object_columns([record.values for record in batch]))
        else:
            columns = zip(*(record.values for record in batch), strict=True)
            yield Chunk(rows, dict(zip(file.names, map(list, columns), strict=True)))


def memory_chunks(data: object, *, rows_at_a_time: int) -> tuple[str, Iterator[Chunk]]:
    """Read rows that are already in memory; returns what to call them and the chunks.

    A list holds texts, (text, label) or (text, second text, label) tuples, or dicts; a dict holds
    equally long columns; a frame is one of polars, pandas, or anything that hands out Arrow data.

    Raises:
        DataError: It is none of these, or its rows or columns do not fit together.
    """
    if isinstance(data, pl.DataFrame):
        return "<frame>", _frame_chunks(data, rows_at_a_time)
    # Known by name, so that pandas need not be installed, let alone imported.
    if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "iloc"):
        return "<frame>", _slices(_pandas_columns(data), rows_at_a_time)
    if hasattr(data, "__arrow_c_stream__"):
        return "<frame>", _frame_chunks(pl.DataFrame(data), rows_at_a_time)
    if isinstance(data, Mapping):
        return "<dict>", _slices(_dict_columns(data), rows_at_a_time)
    if isinstance(data, list | tuple):
        return "<list>", _slices(_list_columns(data), rows_at_a_time)
    raise DataError(
        f"data is of type {type(data).__name__}, which is no table: give a path, a list of rows, "
        "a dict of columns, or a polars or pandas frame"
    )


def _batches(records: Iterator[Record], limit: int) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += record.size
        if len(batch) == limit or size > MAX_CHUNK_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _refuse_faults(batch: list[Record], path: Path) -> None:
    faults: dict[str, list[Record]] = {}
    for record in batch:
        if record.fault:
            faults.setdefault(record.fault, []).append(record)
    if not faults:
        return
    has_header = not isinstance(batch[0].values, dict)
    parts = []
    for fault, records in list(faults.items())[:5]:
        rows = f"{numbered([record.row for record in records])} " if has_header else ""
        lines = numbered([record.line for record in records], "line")
        parts.append(f"{rows}({lines}): {fault}" if rows else f"{lines}: {fault}")
    more = sum(len(records) for records in list(faults.values())[5:])
    end = f"; and {counted(more, 'row')} more" if more else ""
    raise DataError(f"{source_name(path)}: {'; '.join(parts)}{end}; {_advice(batch, path)}")


def _advice(batch: list[Record], path: Path) -> str:
    if not isinstance(batch[0].values, dict):
        return "mend these rows or leave them out"
    if batch[0].fault.startswith("a list") or path.suffix == ".json":
        return f"write one JSON object a line, as \"jq -c '.[]' {source_name(path)}\" does"
    return "write one JSON object a line"


def _object_columns(objects: Iterable[object]) -> dict[str, list[object]]:
    dicts = [item for item in objects if isinstance(item, Mapping)]
    # A dict keeps the names in the order in which they first come.
    names = dict.fromkeys(chain.from_iterable(dicts))
    return {str(name): [item.get(name) for item in dicts] for name in names}


def _parquet_chunks(path: Path, rows_at_a_time: int) -> Iterator[Chunk]:
    if path == STANDARD_INPUT:
        raise DataError("Parquet cannot be read from standard input: name a file")
    start = 0
    step = rows_at_a_time * max(1, _PARQUET_SLICE_ROWS // rows_at_a_time)
    while (frame := _parquet_slice(path, start, step)).height:
        yield from _frame_chunks(frame, rows_at_a_time, first_row=start + 1)
        start += step


def _parquet_slice(path: Path, start: int, step: int) -> pl.DataFrame:
    try:
        frame: pl.DataFrame = pl.scan_parquet(path, glob=False).slice(start, step).collect()
    except OSError as error:
        raise FileError(cannot_open(path, error)) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = clipped(str(error), length=100)
        raise DataError(
            f"{path} is not a sound Parquet file ({reason}): write or copy it again"
        ) from error
    return frame


def _frame_chunks(
    frame: pl.DataFrame, rows_at_a_time: int, *, first_row: int = 1
) -> Iterator[Chunk]:
    for start in range(0, frame.height, rows_at_a_time):
        part = frame.slice(start, rows_at_a_time)
        rows = range(first_row + start, first_row + start + part.height)
        yield Chunk(list(rows), {column.name: column for column in part})


def _slices(columns: Mapping[str, list[object]], rows_at_a_time: int) -> Iterator[Chunk]:
    height = max((len(cells) for cells in columns.values()), default=0)
    for start in range(0, height, rows_at_a_time):
        end = min(height, start + rows_at_a_time)
        rows = list(range(start + 1, end + 1))
        yield Chunk(rows, {name: cells[start:end] for name, cells in columns.items()})


def _pandas_columns(frame: Any) -> dict[str, list[object]]:
    # Through Python lists: polars.from_pandas would want pyarrow as well.
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"<frame> has {quoted(twice)} more than once: rename the columns")
    return {name: frame.iloc[:, i].tolist() for i, name in enumerate(names)}


def _dict_columns(data: Mapping[Any, object]) -> dict[str, list[object]]:
    columns = {str(name): _column(str(name), values) for name, values in data.items()}
    if len({len(cells) for cells in columns.values()}) > 1:
        lengths = joined([f'"{name}" has {len(cells):,}' for name, cells in columns.items()])
        raise DataError(f"<dict> has columns of unequal lengths: {lengths}; give equally many")
    return columns


def _column(name: str, values: object) -> list[object]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise DataError(
            f'<dict> has {type(values).__name__} as its column "{name}" where a list is needed: '
            "give a list a column, or a list of dicts for rows"
        )
    # Arrays of numbers hand out plain numbers only when asked for a list.
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _list_columns(rows: Sequence[object]) -> dict[str, list[object]]:
    if all(isinstance(row, str) for row in rows):
        return {"text": list(rows)}
    if isinstance(rows[0], Mapping):
        _refuse_unlike(rows, Mapping, "a dict")
        return _object_columns(rows)
    _refuse_unlike(rows, tuple | list, "a tuple")
    tuples = [row for row in rows if isinstance(row, tuple | list)]
    width = len(tuples[0])
    if width not in (2, 3):
        raise DataError(
            f"<list> has {counted(width, 'value')} in row 1: give (text, label) or "
            "(text, second text, label)"
        )
    uneven = [i for i, row in enumerate(tuples, start=1) if len(row) != width]
    if uneven:
        raise DataError(
            f"<list> has {counted(width, 'value')} in row 1 but not in {numbered(uneven)}: "
            "give equally many in every row"
        )
    names = ("text", "label") if width == 2 else ("text", "pair", "label")
    return {name: [row[i] for row in tuples] for i, name in enumerate(names)}


def _refuse_unlike(rows: Sequence[object], kind: Any, noun: str) -> None:
    unlike = [i for i, row in enumerate(rows, start=1) if not isinstance(row, kind)]
    if unlike:
        actual = type(rows[unlike[0] - 1]).__name__
        raise DataError(
            f"<list> holds {actual} in {numbered(unlike)} where {noun} is needed: give all rows as "
            "texts, as (text, label) tuples or as dicts"
        )
