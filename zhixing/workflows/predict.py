"""Classify texts: a few, or a file larger than the memory."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from zhixing.checkpoints.files import check_free_file
from zhixing.data.readers import expand_paths, stream_tables
from zhixing.data.table import Columns
from zhixing.errors import ConfigError, FileError
from zhixing.tasks.classifier import Classifier, ClassifyOptions

ROWS_AT_A_TIME = 2048


def classify_file(
    pipeline: Classifier,
    data: str | Path,
    output: str | Path,
    *,
    options: ClassifyOptions = ClassifyOptions(),
    columns: Columns = Columns(),
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Classify every row of a file, in order, a line of JSON each.

    Args:
        pipeline: The model.
        data: CSV, TSV, JSONL, Parquet, plain text with one text a line, a pattern, or "-".
        output: A .jsonl file, or "-" for standard output. It appears when all of it is written.
        options: How results are made.
        columns: Which columns hold what.
        overwrite: Replace an output file that exists.
        progress: Is told how many rows are done.

    Returns:
        How many rows there were.

    Raises:
        FileError: If the output exists or cannot be written.
    """
    total = 0
    if output != "-" and Path(output).exists() and data != "-":
        refuse_itself(data, output)
    tables = stream_tables(data, columns=columns, rows_at_a_time=ROWS_AT_A_TIME)
    with opened_whole(str(output), overwrite=overwrite) as file:
        for table, results in pipeline.stream(tables, options):
            for row, result in zip(table.rows, results, strict=True):
                line = {"row": row, **result.to_dict()}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            total += len(table)
            if progress is not None:
                progress(total)
    return total


def refuse_itself(data: str | Path, output: str | Path) -> None:
    """Refuse to put the answers in the place of the texts.

    Raises:
        ConfigError: If the output is one of the files that are read.
    """
    if any(path.samefile(output) for path in expand_paths(data)):
        raise ConfigError(f"{output} is also what is read, and would be lost; name another output")


@contextmanager
def opened_whole(name: str, *, overwrite: bool) -> Iterator[TextIO]:
    """Give a file to write to that takes its place when all has been written; "-" is stdout.

    Raises:
        FileError: If it exists already, or the disk is full or not writable.
    """
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    check_free_file(path, overwrite=overwrite)
    writing = path.with_name(f".{path.name}.writing")
    try:
        with writing.open("w", encoding="utf-8") as file:
            yield file
        writing.replace(path)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be written ({error.strerror}); choose another") from error
    finally:
        writing.unlink(missing_ok=True)
