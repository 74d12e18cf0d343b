"""Train, prove and use a model on built-in data, offline, in about two minutes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import cast

from zhixing.data.readers import read_table
from zhixing.evaluation.bag_of_words import Baseline, compare
from zhixing.evaluation.classification import ClassificationReport
from zhixing.tasks.classification import Classification
from zhixing.workflows.evaluate import evaluate
from zhixing.workflows.finishing import Finished
from zhixing.workflows.inspect import inspect
from zhixing.workflows.load import load_classifier
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
    baseline: Baseline | None
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
        pipeline, test_page = load_classifier(out), out / "test.html"
        report = cast("ClassificationReport", evaluate(out, folder / "test.tsv", out=test_page))
        fresh = (folder / "fresh.txt").read_text(encoding="utf-8").splitlines()
        training = read_table(folder / "train.tsv", needs_labels=True)
        test = read_table(folder / "test.tsv", needs_labels=True)
        predicted = pipeline.logits(pipeline.encode(test)).argmax(-1)
        baseline = compare(training, test, pipeline.labels, predicted)
    page = inspect(pipeline, fresh[0], out / "attention.html")
    said = list(zip(fresh, pipeline(fresh), strict=True))
    return Demonstration(finished, report, baseline, said, page)
