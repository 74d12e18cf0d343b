"""What is wrong with a table, before anyone trains on it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.files import read_json
from zhixing.checkpoints.pretrained import CONFIG
from zhixing.data.doctors.files import examine_file
from zhixing.data.doctors.labels import Examination
from zhixing.data.readers import expand_paths, read_table
from zhixing.data.roles import Columns
from zhixing.data.table import Table
from zhixing.errors import DataError
from zhixing.jobs.learn import Learner
from zhixing.jobs.registry import JOBS, learn_of
from zhixing.models.families.known import family_named
from zhixing.tokenization.files import load_tokenizer
from zhixing.training.recipe import DataChoice


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

    Rows that a task recognizes by their columns, such as those with a source and a target, are
    examined as that task says.

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
    learner = _learner_for(data, columns)
    choice = DataChoice(multi_label=multi_label, label_separator=label_separator)

    def read(rows: object) -> Table:
        return read_table(
            rows,
            columns=columns,
            roles=[role if role.kind == "text" else role.optional() for role in learner.roles],
            keep_blanks=True,
            **learner.reading(choice),
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
    measures = {} if model is None else _measures(model, pair=table.pairs is not None)
    examination = learner.examine(table, held, **measures)
    return replace(examination, findings=[*raw, *examination.findings])


def _learner_for(data: object, columns: Columns) -> Learner:
    """Choose the task whose rows these are: the last that recognizes them, the first if none."""
    learners = [learn_of(name) for name in JOBS]
    for learner in reversed(learners):
        roles = {role.name for role in learner.roles}
        if not set(columns) <= roles:
            continue
        found: dict[str, str] = {}
        if str(data) != "-":
            try:
                table = read_table(data, columns=columns, roles=learner.roles, keep_blanks=True)
                found = dict(table.columns)
            except DataError:
                # It has no such columns, or is faulty in a way that the reading to come will tell.
                found = {}
        if learner.recognizes(data, {**found, **columns}):
            return learner
    return learners[0]


def _measures(model: str, *, pair: bool) -> dict[str, Any]:
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

    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in tokenizer.ids(list(texts))]

    return {"count_tokens": count_tokens, "max_length": room}
