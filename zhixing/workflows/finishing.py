"""The last act of a training: score, save the model folder, write the report."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zhixing.checkpoints.files import write_text
from zhixing.checkpoints.pretrained import Pretrained, write_model_files
from zhixing.jobs.learn import Learner, Prepared
from zhixing.jobs.report import Report
from zhixing.training.loop import Run
from zhixing.training.run_plan import RunPlan
from zhixing.training.snapshot import machine_facts
from zhixing.version import __version__
from zhixing.workflows.journal import Journal
from zhixing.workflows.report import training_page

REPORT = "report.html"
# A kill may leave a folder of this name behind; whoever ends the run removes it.
WRITING_PREFIX = ".model-"


@dataclass(frozen=True)
class Finished:
    """What a training came to.

    Attributes:
        task: What was learned.
        folder: The model's.
        reports: Scores by the rows they are about: "validation", and what else the task scores.
        steps: Optimizer steps.
        seconds: Spent in steps.
        tokens: Read in all epochs.
        best_step: Whose weights were kept.
        next_words: After the task and the folder, a command that tries the model.
    """

    task: str
    folder: Path
    reports: dict[str, Report]
    steps: int
    seconds: float
    tokens: int
    best_step: int
    next_words: str = ""

    @property
    def report(self) -> Report | None:
        """Give the scores on validation; None if there were no such rows."""
        return self.reports.get("validation")

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        report = self.report
        others = {name: each for name, each in self.reports.items() if each is not report}
        return {
            "folder": str(self.folder),
            "steps": self.steps,
            "best_step": self.best_step,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "report": None if report is None else report.to_dict(),
            "others": {name: each.to_dict() for name, each in others.items()},
        }


def finish(
    folder: Path, plan: RunPlan, prepared: Prepared, run: Run, journal: Journal, learner: Learner
) -> Finished:
    """Leave a model folder and a report behind a run."""
    lines = list(journal.lines())
    steps = [line for line in lines if line["event"] == "step"]
    best = [line["step"] for line in lines if line["event"] == "evaluation" and line["is_best"]]
    model = run.model.to("cpu")
    outcome = learner.conclude(plan, prepared, model)
    finished = Finished(
        task=plan.task,
        folder=folder,
        reports=outcome.reports,
        steps=len(steps),
        seconds=sum(line["seconds"] for line in steps),
        tokens=sum(line["tokens"] for line in steps),
        best_step=best[-1] if best else len(steps),
        next_words=learner.use.next_words(prepared.pretrained),
    )
    record = _record(plan, prepared, finished)
    pretrained = replace(
        prepared.pretrained, model=model, card=replace(outcome.card, training=record)
    )
    _put_model(pretrained, folder)
    texts = prepared.validation.texts
    lengths = [example.tokens_given for example in prepared.examples]
    page = training_page(plan, record, finished.report, lines, texts, lengths)
    write_text(folder / REPORT, page)
    return finished


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
    with tempfile.TemporaryDirectory(prefix=WRITING_PREFIX, dir=folder) as box:
        write_model_files(pretrained, Path(box))
        names = sorted(os.listdir(box), key=lambda name: (name == "config.json", name))
        for name in names:
            (Path(box) / name).replace(folder / name)
