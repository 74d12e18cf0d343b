"""The last act of a training: calibrate, score, save the model folder, write the report."""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zhixing.checkpoints.card import Card
from zhixing.checkpoints.files import write_text
from zhixing.checkpoints.fingerprint import model_hash
from zhixing.checkpoints.pretrained import Pretrained, write_model_files
from zhixing.data.batch import Example, label_ids, label_matrix
from zhixing.evaluation.bag_of_words import Baseline, compare
from zhixing.evaluation.claims import Origin
from zhixing.jobs.classify.report import ClassificationReport, evaluate_logits
from zhixing.jobs.preparation import Prepared
from zhixing.jobs.sequence_to_sequence.report import TextReport
from zhixing.metrics.accuracy import best_thresholds
from zhixing.metrics.calibration import fit_multilabel_temperature, fit_temperature
from zhixing.models.transformer import Transformer
from zhixing.tasks.batching import logits_of
from zhixing.tasks.classification import ClassificationTask
from zhixing.training.loop import Run
from zhixing.training.run_plan import RunPlan
from zhixing.training.snapshot import machine_facts
from zhixing.version import __version__
from zhixing.workflows.journal import Journal
from zhixing.workflows.report import training_page

REPORT = "report.html"
# A kill may leave a folder of this name behind; whoever ends the run removes it.
BOX = ".model-"


@dataclass(frozen=True)
class Finished:
    """What a training came to.

    Attributes:
        folder: The model's.
        report: Scores on validation; None if there were no such rows.
        baseline: Counting words, on the same rows; None where it was not computed.
        steps: Optimizer steps.
        seconds: Spent in steps.
        tokens: Read in all epochs.
        best_step: Whose weights were kept.
        old: Scores on pairs of the kind that an adapted model was made for; None without any.
    """

    folder: Path
    report: ClassificationReport | TextReport | None
    baseline: Baseline | None
    steps: int
    seconds: float
    tokens: int
    best_step: int
    old: TextReport | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return {
            "folder": str(self.folder),
            "steps": self.steps,
            "best_step": self.best_step,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "report": None if self.report is None else self.report.to_dict(),
            "baseline": None if self.baseline is None else asdict(self.baseline),
            "old": None if self.old is None else self.old.to_dict(),
        }


@dataclass(frozen=True)
class Outcome:
    """What a trained model came to.

    Attributes:
        card: With its scores.
        report: On validation; None if there were no such rows.
        baseline: On the same rows; None where there is none.
        old: On pairs of the kind that an adapted model was made for; None without any.
    """

    card: Card
    report: ClassificationReport | TextReport | None = None
    baseline: Baseline | None = None
    old: TextReport | None = None


def finish(
    folder: Path,
    plan: RunPlan,
    prepared: Prepared,
    run: Run,
    journal: Journal,
    conclude: Callable[[RunPlan, Prepared, Transformer], Outcome],
) -> Finished:
    """Leave a model folder and a report behind a run."""
    lines = list(journal.lines())
    steps = [line for line in lines if line["event"] == "step"]
    best = [line["step"] for line in lines if line["event"] == "evaluation" and line["is_best"]]
    model = run.model.to("cpu")
    outcome = conclude(plan, prepared, model)
    finished = Finished(
        folder=folder,
        report=outcome.report,
        baseline=outcome.baseline,
        steps=len(steps),
        seconds=sum(line["seconds"] for line in steps),
        tokens=sum(line["tokens"] for line in steps),
        best_step=best[-1] if best else len(steps),
        old=outcome.old,
    )
    record = _record(plan, prepared, finished)
    pretrained = replace(
        prepared.pretrained, model=model, card=replace(outcome.card, training=record)
    )
    _put_model(pretrained, folder)
    texts = prepared.validation.texts
    lengths = [example.tokens_given for example in prepared.examples]
    page = training_page(plan, record, outcome.report, outcome.baseline, lines, texts, lengths)
    write_text(folder / REPORT, page)
    return finished


def conclude_classes(_: RunPlan, prepared: Prepared, model: Transformer) -> Outcome:
    """Calibrate and score a classifier on its validation rows."""
    card = prepared.pretrained.card
    examples = prepared.validation_examples
    if not examples or not isinstance(prepared.task, ClassificationTask):
        return Outcome(card)
    logits = logits_of(model, prepared.task, examples, device=torch.device("cpu"))
    card = calibrated(card, logits, examples)
    origin = Origin(
        data=prepared.validation.fingerprint(),
        model=model_hash(model),
        version=__version__,
    )
    report = evaluate_logits(
        logits,
        examples,
        card.labels,
        is_multi_label=card.is_multi_label,
        temperature=card.temperature,
        thresholds=card.thresholds,
        origin=origin,
    )
    scores = {
        name: {"value": claim.value, "low": claim.interval.low, "high": claim.interval.high}
        for name, claim in report.scores.items()
    }
    card = replace(card, scores={"validation": {**scores, "signature": report.signature}})
    baseline = compare(prepared.table, prepared.validation, card.labels, logits.argmax(-1))
    return Outcome(card, report, baseline)


def calibrated(card: Card, logits: torch.Tensor, examples: list[Example]) -> Card:
    """Fit the temperature, and for multi-label the thresholds, on labelled rows."""
    if not card.is_multi_label:
        return replace(card, temperature=fit_temperature(logits, label_ids(examples)))
    targets = label_matrix(examples, logits.size(1))
    temperature = fit_multilabel_temperature(logits, targets)
    probabilities = (logits.double() / temperature).sigmoid()
    thresholds = best_thresholds(probabilities, targets)
    return replace(card, temperature=temperature, thresholds=tuple(thresholds.tolist()))


def _record(plan: RunPlan, prepared: Prepared, finished: Finished) -> Mapping[str, Any]:
    return {
        "command": plan.command,
        "model": plan.model,
        "recipe": plan.recipe.to_dict(),
        "data": dict(prepared.hashes),
        "rows": {"training": len(prepared.table), "validation": len(prepared.validation)},
        "steps": finished.steps,
        "best_step": finished.best_step,
        "tokens": finished.tokens,
        "seconds": round(finished.seconds, 1),
        "machine": machine_facts(),
        "zhixing": __version__,
    }


def _put_model(pretrained: Pretrained, folder: Path) -> None:
    """Write the model's files beside the run's, each whole or not at all, the weights last."""
    with tempfile.TemporaryDirectory(prefix=BOX, dir=folder) as box:
        write_model_files(pretrained, Path(box))
        names = sorted(os.listdir(box), key=lambda name: (name == "config.json", name))
        for name in names:
            (Path(box) / name).replace(folder / name)
