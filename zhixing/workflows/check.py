"""What is wrong with a table, before anyone trains on it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.files import read_json
from zhixing.checkpoints.pretrained import CONFIG
from zhixing.data.aligned import aligned_paths
from zhixing.data.columns import speaks_of_pairs
from zhixing.data.doctors.files import examine_file
from zhixing.data.doctors.labels import Examination, examine
from zhixing.data.doctors.pairs import examine_pairs
from zhixing.data.readers import expand_paths, read_table
from zhixing.data.table import Columns
from zhixing.errors import DataError
from zhixing.models.families.known import family_named
from zhixing.tokenization.files import load_tokenizer


def check(
    data: object,
    *,
    validation: object = None,
    model: str | None = None,
    columns: Columns = Columns(),
    multi_label: bool = False,
    label_separator: str | None = None,
) -> Examination:
    """Examine rows: labels, blanks, duplicates, leaks, lengths, encoding, quoting.

    Rows with a source and a target are examined as pairs for a translator: `examine_pairs` says for
    what.

    Args:
        data: Rows in any form that training reads. A file is also read as bytes.
        validation: Rows held back, to look for leaks.
        model: Whose tokens lengths are counted in; characters are counted without one.
        columns: Which columns hold what.
        multi_label: A row may bear several labels, or none.
        label_separator: Between several labels in one cell.

    Returns:
        What was found, each with row numbers and a remedy. A file that cannot be read as a table
        has its faults as findings.
    """
    has_pairs = _holds_pairs(data, columns)
    read = partial(
        read_table,
        columns=columns,
        needs_labels=False,
        needs_targets=has_pairs,
        multi_label=multi_label,
        label_separator=label_separator,
        keep_blanks=True,
    )
    raw = []
    if isinstance(data, str | Path) and str(data) != "-":
        raw = [finding for path in expand_paths(data) for finding in examine_file(path)]
    try:
        table = read(data)
        held = None if validation is None else read(validation)
    except DataError:
        if not any(finding.severity == "error" for finding in raw):
            raise
        return Examination(source=str(data), num_rows=0, labels={}, lengths=None, findings=raw)
    look = examine_pairs if has_pairs else examine
    if model is None:
        found = look(table, held)
    else:
        count_tokens, room = _measures(model, pair=table.pairs is not None)
        found = look(table, held, count_tokens=count_tokens, max_length=room)
    return replace(found, findings=[*raw, *found.findings])


def _holds_pairs(data: object, columns: Columns) -> bool:
    """Tell pairs to translate from labelled rows, by what was asked for or the columns' names."""
    if columns.target is not None:
        return True
    if columns.label is not None or columns.pair is not None or str(data) == "-":
        return False
    try:
        table = read_table(
            data, columns=columns, needs_labels=False, needs_targets=True, keep_blanks=True
        )
    except DataError:
        # It has no such columns, or is faulty in a way that the reading to come will tell.
        return isinstance(data, str | Path) and aligned_paths(data) is not None
    return speaks_of_pairs(table.columns)


def _measures(model: str, *, pair: bool) -> tuple[Callable[[Sequence[str]], list[int]], int | None]:
    """Give what counts the tokens of texts for a model, and how many it takes beside special ones.

    A second vocabulary of what is written is not told apart: sides are about equally long in both.
    """
    folder = locate(model)
    tokenizer = load_tokenizer(folder)
    values = read_json(folder / CONFIG)
    config = family_named(values.get("model_type")).read_config(values)
    room = config.max_positions
    if room is not None:
        room -= tokenizer.num_special(pair=pair)
    return lambda texts: [len(ids) for ids in tokenizer.ids(list(texts))], room
