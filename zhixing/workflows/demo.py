"""Train, prove and use models on built-in data, offline: every job plays its act."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from zhixing.jobs.learn import Act
from zhixing.jobs.registry import JOBS, learn_of
from zhixing.jobs.report import Report
from zhixing.training.recipe import DataChoice
from zhixing.workflows.evaluate import evaluate
from zhixing.workflows.finishing import Finished
from zhixing.workflows.inspect import inspect
from zhixing.workflows.load import load
from zhixing.workflows.train import Watch, train


@dataclass(frozen=True)
class Played:
    """What one job's act of the demo came to.

    Attributes:
        task: Whose.
        act: As it was planned.
        asked: Fresh texts, and what the model says of each.
        finished: The training, where there was one; its scores are on a part of its own rows.
        report: Scores on held-out rows, which the training never saw.
        page: A look inside the model, over one of the fresh texts.
    """

    task: str
    act: Act
    asked: list[tuple[str, Any]]
    finished: Finished | None = None
    report: Report | None = None
    page: Path | None = None


def demonstrate(
    out: Path,
    *,
    overwrite: bool = False,
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Played] | None:
    """Play the acts of all jobs that have one: train, score and use a model, or use one.

    Returns:
        What each came to; None if it was asked to stop.

    Raises:
        CheckpointError: If a model is not on this machine, with the command that brings it.
    """
    acts = [(name, learn_of(name).act) for name in JOBS]
    played = []
    for task, act in acts:
        if act is None:
            continue
        if act.data is None:
            played.append(Played(task, act, [(act.text, load(act.model)(act.text))]))
            continue
        place = out / task if any(each.finished for each in played) else out
        with as_file(files("zhixing.resources") / act.data) as folder:
            finished = train(
                task,
                data=folder / "train.tsv",
                model=act.model,
                out=place,
                overwrite=overwrite,
                watch=watch,
                should_stop=should_stop,
                **act.settings,
            )
            if finished is None:
                return None
            report = evaluate(place, folder / "test.tsv", out=place / "test.html")
            fresh = (folder / "fresh.txt").read_text(encoding="utf-8").splitlines()
            model, learner = load(place), learn_of(task)
            rows = [learner.read_rows(folder / f"{n}.tsv", DataChoice()) for n in ("train", "test")]
            report = learner.with_baseline(report, model, *rows)
        page = inspect(model, fresh[0], place / "attention.html")
        asked = list(zip(fresh, model(fresh), strict=True))
        played.append(Played(task, act, asked, finished, report, page))
    return played
