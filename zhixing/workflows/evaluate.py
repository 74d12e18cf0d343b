"""Score a trained model on labelled rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zhixing.checkpoints.files import check_free_file, write_json, write_text
from zhixing.checkpoints.fingerprint import model_hash
from zhixing.data.readers import read_table
from zhixing.data.table import Columns, Table
from zhixing.errors import ConfigError, FileError
from zhixing.evaluation.claims import Origin
from zhixing.jobs.classify.report import ClassificationReport, evaluate_logits
from zhixing.jobs.sequence_to_sequence.report import TextReport, evaluate_texts
from zhixing.tasks.batching import Precision
from zhixing.tasks.classifier import Classifier
from zhixing.tasks.translation.translator import Translator
from zhixing.version import __version__
from zhixing.workflows.load import load, load_translator
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
) -> ClassificationReport | TextReport:
    """Score a model on labelled rows, or on pairs of texts; each score with an interval.

    Args:
        model: A model folder.
        data: Labelled rows, or texts with what should be written, in any form that training
            reads.
        out: Also write a report there: a .json of all numbers, or an .html page.
        against: Another model that writes, to be held against this one on the same rows.
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
    loaded = load(model, precision=precision, device=device, threads=threads)
    report: ClassificationReport | TextReport
    if isinstance(loaded, Translator):
        other = None
        if against is not None:
            other = load_translator(against, precision=precision, device=device, threads=threads)
        report, table = _score_texts(loaded, data, columns, seed, other)
    elif against is not None:
        raise ConfigError(f"{model} classifies; --against compares two models that write: drop it")
    else:
        report, table = _score_classes(loaded, data, columns, seed)
    if out is not None:
        _write(Path(out), str(model), table.source, report, table.texts)
    return report


def _score_classes(
    pipeline: Classifier, data: object, columns: Columns, seed: int
) -> tuple[ClassificationReport, Table]:
    card = pipeline.card
    table = read_table(
        data,
        columns=columns,
        needs_labels=True,
        multi_label=card.is_multi_label,
        label_separator=card.label_separator,
    )
    examples = pipeline.encode(table)
    origin = Origin(table.fingerprint(), model_hash(pipeline.model), __version__, seed)
    report = evaluate_logits(
        pipeline.logits(examples),
        examples,
        pipeline.labels,
        is_multi_label=card.is_multi_label,
        temperature=card.temperature,
        thresholds=card.thresholds,
        origin=origin,
    )
    return report, table


def _score_texts(
    translator: Translator,
    data: object,
    columns: Columns,
    seed: int,
    other: Translator | None = None,
) -> tuple[TextReport, Table]:
    """Translate all rows as a person would, and score every one of them."""
    table = read_table(data, columns=columns, needs_labels=False, needs_targets=True)
    found = translator.translate(table.texts)
    origin = Origin(table.fingerprint(), model_hash(translator.model), __version__, seed)
    report = evaluate_texts(
        table.texts,
        [one.text for one in found],
        table.targets or [],
        rows=table.rows,
        cut=sum("cut" in one.flags for one in found),
        origin=origin,
        others=None if other is None else [one.text for one in other.translate(table.texts)],
    )
    return report, table


def _check_free(path: Path, model: str | Path, *, overwrite: bool) -> None:
    """Refuse to replace a report unasked, and a file of the model at all."""
    if path.exists() and Path(model).is_dir() and path.parent.samefile(model):
        raise FileError(f"{path} belongs to the model that is scored; name another file")
    check_free_file(path, overwrite=overwrite)


def _write(
    path: Path,
    model: str,
    data: str,
    report: ClassificationReport | TextReport,
    texts: list[str],
) -> None:
    if path.suffix == ".html":
        write_text(path, evaluation_page(model, data, report, texts))
        return
    values: Mapping[str, Any] = {"model": model, "data": data, **report.to_dict()}
    write_json(path, values)
