"""Answer the rows of a file of any size, in order; a kill loses nothing that was done."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from zhixing.checkpoints.files import check_free_file, read_json, sha256_of, write_json
from zhixing.checkpoints.fingerprint import model_hash
from zhixing.data.readers import expand_paths, refuse_itself, stream_tables
from zhixing.data.roles import Columns
from zhixing.data.sources import STANDARD_INPUT
from zhixing.data.table import Table
from zhixing.errors import ConfigError, FileError, ZhixingError
from zhixing.jobs.registry import task_of, use_of
from zhixing.jobs.use import Opened
from zhixing.tasks.inference import give_back_memory


@dataclass(frozen=True)
class _Answers:
    """Writes the answers to some rows in the form that a file's ending names."""

    model: Opened
    options: Any
    kind: str

    def lines(self, table: Table) -> Iterator[str]:
        results = self.model.answer(table, self.options) if len(table) else []
        for row, text, result in zip(table.rows, table.texts, results, strict=True):
            if self.kind == ".jsonl":
                source = {"source": text} if hasattr(result, "text") else {}
                values = {"row": row, **source, **result.to_dict()}
                yield json.dumps(values, ensure_ascii=False) + "\n"
                continue
            cells = [result.text] if self.kind == ".txt" else [text, result.text]
            if any(mark in cell for cell in cells for mark in "\n\r") or (
                self.kind == ".tsv" and any("\t" in cell for cell in cells)
            ):
                raise ConfigError(
                    f"row {row} holds a line break or tab, which a {self.kind} file cannot keep; "
                    f"name a .jsonl file as output"
                )
            yield "\t".join(cells) + "\n"


def predict_file(
    model: Opened,
    data: str | Path,
    output: str | Path,
    *,
    options: Any = None,
    columns: Columns = Columns(),
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Answer every row of a file, in order; go on where an earlier call was killed.

    Args:
        model: As `load` gives it.
        data: CSV, TSV, JSONL, Parquet, plain text with one text a line, a pattern, or "-".
        output: A .jsonl file of results; for models that write also a .txt of texts or a .tsv of
            rows and texts; "-" for standard output. It appears when all of it is written.
        options: How to answer; the task's own options unless given.
        columns: Which columns hold what.
        overwrite: Replace an output file that exists, and what a killed call left.
        progress: Is told how many rows are done.

    Returns:
        How many rows there were.

    Raises:
        FileError: If the output exists or cannot be written.
        ConfigError: If what was left behind is of another model, file or setting.
    """
    use = use_of(task_of(model.pretrained))
    options = use.options() if options is None else options
    path, is_terminal = Path(output), str(output) == "-"
    if not is_terminal and path.exists() and Path(data) != STANDARD_INPUT:
        refuse_itself(data, path)
    if not is_terminal and path.suffix not in use.kinds:
        raise ConfigError(f"output is {path}; its name has to end in {', '.join(use.kinds)}")
    tables = stream_tables(
        data, columns=columns, roles=use.asked, rows_at_a_time=use.rows_at_a_time
    )
    answers = _Answers(model, options, use.kinds[0] if is_terminal else path.suffix)
    if is_terminal:
        return _write(answers, tables, sys.stdout, progress, done=0)
    check_free_file(path, overwrite=overwrite)
    facts = {
        "model": model_hash(model.model),
        "precision": model.precision,
        "data": [] if Path(data) == STANDARD_INPUT else list(map(sha256_of, expand_paths(data))),
        "options": json.loads(json.dumps(asdict(options))),
        "columns": dict(columns),
        **use.facts(model),
    }
    return _write_resumably(answers, tables, path, facts, progress, overwrite=overwrite)


def _write_resumably(
    answers: _Answers,
    tables: Iterator[Table],
    path: Path,
    facts: Mapping[str, Any],
    progress: Callable[[int], None] | None,
    *,
    overwrite: bool,
) -> int:
    """Write beside the output, which takes its place at the end; keep what a kill leaves."""
    partial, note = (path.with_name(f".{path.name}.{end}") for end in ("partial", "json"))
    done = 0 if overwrite else _lines_done(partial, note, facts)
    try:
        write_json(note, facts)
        with partial.open("a" if done else "w", encoding="utf-8", newline="\n") as file:
            total = _write(answers, tables, file, progress, done=done)
        partial.replace(path)
        note.unlink()
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error.strerror}); choose another") from error
    except ZhixingError:
        # Nothing that a person has to mend first is gone on from.
        partial.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
        raise
    return total


def _write(
    answers: _Answers,
    tables: Iterator[Table],
    file: TextIO,
    progress: Callable[[int], None] | None,
    *,
    done: int,
) -> int:
    total = 0
    for table in tables:
        first, total = total, total + len(table)
        if total <= done:
            continue
        new = table.select(range(max(done - first, 0), len(table)))
        file.writelines(answers.lines(new))
        file.flush()
        give_back_memory()
        if progress is not None:
            progress(total)
    return total


def _lines_done(partial: Path, note: Path, facts: Mapping[str, Any]) -> int:
    """Count the whole lines that a killed call left, and take off one that is not whole."""
    if not partial.exists() or not note.exists():
        return 0
    if read_json(note) != facts or not facts["data"]:
        raise ConfigError(
            f"{partial} was left by a run of another model, file or setting; remove it, or "
            f"give --overwrite to begin anew"
        )
    content = partial.read_bytes()
    complete = content[: content.rfind(b"\n") + 1]
    if len(complete) < len(content):
        partial.write_bytes(complete)
    return complete.count(b"\n")
