"""Train, prove and use a model on built-in data, offline, in about two minutes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import torch

from zhixing.data.readers import read_table
from zhixing.data.table import Table
from zhixing.evaluation.bag_of_words import Baseline, against, fit_bag_of_words
from zhixing.evaluation.classification import ClassificationReport
from zhixing.tasks.classification import Classification
from zhixing.tasks.pipeline import Pipeline
from zhixing.workflows.evaluate import evaluate
from zhixing.workflows.finishing import Finished
from zhixing.workflows.inspect import inspect
from zhixing.workflows.load import load
from zhixing.workflows.train import Watch, train_model

# Eight passes at a rate that suits so few rows; the held-out messages had no say in it.
SETTINGS = {"epochs": 8, "rate": 2e-4, "batch_size": 16, "snapshot_minutes": 0}


@dataclass(frozen=True)
class Demonstration:
    """What the demo made.

    Attributes:
        finished: The training; its own scores are on a tenth of the training messages.
        report: Scores on the held-out messages, which the training never saw.
        baseline: A bag of words on the same messages.
        messages: Fresh messages, and what the model says of each.
        page: The attention over one of them.
    """

    finished: Finished
    report: ClassificationReport
    baseline: Baseline
    messages: list[tuple[str, Classification]]
    page: Path


def demonstrate(
    out: Path,
    *,
    overwrite: bool = False,
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Demonstration | None:
    """Fine-tune minilm on the built-in support messages, score it, and use it.

    Raises:
        CheckpointError: If minilm is not on this machine, with the command that brings it.
    """
    with as_file(files("zhixing.resources") / "support") as folder:
        finished = train_model(
            "classify",
            folder / "train.tsv",
            out=out,
            settings=SETTINGS,
            overwrite=overwrite,
            watch=watch,
            should_stop=should_stop,
        )
        if finished is None:
            return None
        pipeline = load(out)
        report = evaluate(out, folder / "test.tsv", out=out / "test.html")
        fresh = (folder / "fresh.txt").read_text(encoding="utf-8").splitlines()
        baseline = compare_with_words(
            pipeline,
            read_table(folder / "train.tsv", needs_labels=True),
            read_table(folder / "test.tsv", needs_labels=True),
        )
    page = inspect(pipeline, fresh[0], out / "attention.html")
    said = list(zip(fresh, pipeline(fresh), strict=True))
    return Demonstration(finished, report, baseline, said, page)


def compare_with_words(pipeline: Pipeline, training: Table, test: Table) -> Baseline:
    """Fit the bag of words on all training rows and compare it on the test rows."""
    task = pipeline.task
    learned, tested = task.encode(training), task.encode(test)
    labels = torch.tensor([(e.labels or (0,))[0] for e in learned])
    bag = fit_bag_of_words(training.texts, labels, len(task.labels))
    targets = torch.tensor([(e.labels or (0,))[0] for e in tested])
    return against(bag, test.texts, targets, pipeline.logits(tested).argmax(-1))
