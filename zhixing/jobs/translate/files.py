"""Translate a file of any size, row by row, so that a kill loses nothing that was done."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from zhixing.checkpoints.files import check_free_file, read_json, sha256_of, write_json
from zhixing.checkpoints.fingerprint import model_hash
from zhixing.data.readers import expand_paths, stream_tables
from zhixing.data.sources import STANDARD_INPUT
from zhixing.data.table import Columns
from zhixing.errors import ConfigError, FileError
from zhixing.tasks.translation.result import TranslateOptions, Translation
from zhixing.tasks.translation.translator import Translator
from zhixing.workflows.predict import refuse_itself

# Rows that are translated together: enough sentences of like length to share a step.
ROWS_AT_A_TIME = 256
KINDS = (".txt", ".tsv", ".jsonl")
Row = tuple[int, str]


def translate_file(
    translator: Translator,
    data: str | Path,
    output: str | Path,
    *,
    options: TranslateOptions = TranslateOptions(),
    columns: Columns = Columns(),
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Translate every row of a file, in order; go on where an earlier call was killed.

    Args:
        translator: The model.
        data: Text with one row a line, TSV, CSV, JSONL, Parquet, a pattern, or "-".
        output: A .txt of translations, a .tsv of rows and translations, or a .jsonl with every
            sentence; "-" for text on standard output. It appears when all of it is written.
        options: How to translate.
        columns: Which column holds the texts.
        overwrite: Replace an output file that exists, and what a killed call left.
        progress: Is told how many rows are done.

    Returns:
        How many rows there were.

    Raises:
        FileError: If the output exists or cannot be written.
        ConfigError: If what was left behind is of another model, file or setting.
    """
    rows = _rows(data, columns)
    if str(output) == "-":
        return _write(translator, rows, sys.stdout, ".txt", options, progress, done=0)
    path = Path(output)
    if path.suffix not in KINDS:
        raise ConfigError(f"output is {path}; its name has to end in {', '.join(KINDS)}")
    if path.exists() and Path(data) != STANDARD_INPUT:
        refuse_itself(data, path)
    check_free_file(path, overwrite=overwrite)
    partial, note = (path.with_name(f".{path.name}.{end}") for end in ("partial", "json"))
    facts = _facts(translator, data, options, columns)
    done = 0 if overwrite else _lines_done(partial, note, facts)
    try:
        write_json(note, facts)
        with partial.open("a" if done else "w", encoding="utf-8", newline="\n") as file:
            total = _write(
                translator,
                islice(rows, done, None),
                file,
                path.suffix,
                options,
                progress,
                done=done,
            )
        partial.replace(path)
        note.unlink()
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be written ({error.strerror}); choose another") from error
    return total


def _rows(data: str | Path, columns: Columns) -> Iterator[Row]:
    for table in stream_tables(data, columns=columns, rows_at_a_time=ROWS_AT_A_TIME):
        yield from zip(table.rows, table.texts, strict=True)


def _write(
    translator: Translator,
    rows: Iterator[Row],
    file: TextIO,
    kind: str,
    options: TranslateOptions,
    progress: Callable[[int], None] | None,
    *,
    done: int,
) -> int:
    while some := list(islice(rows, ROWS_AT_A_TIME)):
        found = translator.translate([text for _, text in some], options)
        file.writelines(_lines(some, found, kind))
        file.flush()
        done += len(some)
        if progress is not None:
            progress(done)
    return done


def _lines(rows: Sequence[Row], found: Sequence[Translation], kind: str) -> Iterator[str]:
    for (number, text), translation in zip(rows, found, strict=True):
        if kind == ".jsonl":
            values: dict[str, Any] = {"row": number, "source": text, **translation.to_dict()}
            yield json.dumps(values, ensure_ascii=False) + "\n"
            continue
        cells = [translation.text] if kind == ".txt" else [text, translation.text]
        if any(mark in cell for cell in cells for mark in "\n\r") or (
            kind == ".tsv" and any("\t" in cell for cell in cells)
        ):
            raise ConfigError(
                f"row {number} holds a line break or tab, which a {kind} file cannot keep; name a "
                f".jsonl file as output"
            )
        yield "\t".join(cells) + "\n"


def _facts(
    translator: Translator, data: str | Path, options: TranslateOptions, columns: Columns
) -> dict[str, Any]:
    """Say all that decides about the translations."""
    paths = [] if Path(data) == STANDARD_INPUT else expand_paths(data)
    return {
        "model": model_hash(translator.model),
        "precision": translator.precision,
        "shortlist": None if translator.shortlist is None else translator.shortlist.fingerprint(),
        "data": [sha256_of(path) for path in paths],
        "options": json.loads(json.dumps(asdict(options))),
        "columns": asdict(columns),
    }


def _lines_done(partial: Path, note: Path, facts: dict[str, Any]) -> int:
    """Count the whole lines that a killed call left, and take off one that is not whole."""
    if not partial.exists() or not note.exists():
        return 0
    if read_json(note) != facts or not facts["data"]:
        raise ConfigError(
            f"{partial} was left by a translation of another model, file or setting; remove it, or "
            f"give --overwrite to begin anew"
        )
    content = partial.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        partial.write_bytes(whole)
    return whole.count(b"\n")
