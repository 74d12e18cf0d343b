"""Score a trained model on rows with targets, by the one scorer that its job has."""

from pathlib import Path

from zhixing.checkpoints.files import check_free_file, write_json, write_text
from zhixing.data.readers import read_table
from zhixing.data.roles import Columns
from zhixing.errors import ConfigError, FileError
from zhixing.jobs.registry import task_of, use_of
from zhixing.jobs.report import Report
from zhixing.tasks.inference import Precision
from zhixing.workflows.load import load, load_for
from zhixing.workflows.report import evaluation_page

FORMS = (".json", ".html")


def evaluate(
    model: str | Path,
    data: object,
    *,
    out: str | Path | None = None,
    against: str | Path | None = None,
    columns: Columns = Columns(),
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int = 0,
    seed: int = 0,
    overwrite: bool = False,
) -> Report:
    """Score a model on labelled rows, or on pairs of texts; each score with an interval.

    Args:
        model: A model folder.
        data: Labelled rows, or texts with what should be written, in any form that training
            reads.
        out: Also write a report there: a .json of all numbers, or an .html page.
        against: Another model of the same task, to be held against this one on the same rows.
        columns: Which columns hold what.
        precision: See `load`.
        device: See `load`.
        threads: See `load`.
        seed: Of the bootstrap.
        overwrite: Replace a report that exists.

    Raises:
        FileError: If `out` exists.
        ConfigError: If `out` is neither a .json nor an .html file.
        DataError: If a row's label is unknown to the model.
    """
    if out is not None and Path(out).suffix not in FORMS:
        raise ConfigError(f"{out} has to end in {' or '.join(FORMS)}, the two forms of a report")
    if out is not None:
        _check_free(Path(out), model, overwrite=overwrite)
    opened = load(model, precision=precision, device=device, threads=threads)
    task, other = task_of(opened.pretrained), None
    if against is not None:
        other = load_for(task, against, precision=precision, device=device, threads=threads)
    use, card = use_of(task), opened.card
    roles = use.scored(card, must=True)
    table = read_table(data, columns=columns, roles=roles, **use.reading(card))
    report: Report = opened.score(table, against=other, seed=seed)
    if out is not None and Path(out).suffix == ".html":
        write_text(Path(out), evaluation_page(str(model), table.source, report, table.texts))
    elif out is not None:
        write_json(Path(out), {"model": str(model), "data": table.source, **report.to_dict()})
    return report


def _check_free(path: Path, model: str | Path, *, overwrite: bool) -> None:
    """Refuse to replace a report unasked, and a file of the model at all."""
    if path.exists() and Path(model).is_dir() and path.parent.samefile(model):
        raise FileError(f"{path} belongs to the model that is scored; name another file")
    check_free_file(path, overwrite=overwrite)
