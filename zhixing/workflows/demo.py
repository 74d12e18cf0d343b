"""Train, prove and use models on built-in data, offline, in about two minutes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import cast

from zhixing.data.readers import read_table
from zhixing.evaluation.bag_of_words import Baseline, compare
from zhixing.jobs.classify.report import ClassificationReport
from zhixing.tasks.classification import Classification
from zhixing.tasks.translation.result import Translation
from zhixing.workflows.evaluate import evaluate
from zhixing.workflows.finishing import Finished
from zhixing.workflows.inspect import inspect
from zhixing.workflows.load import load_classifier, load_translator
from zhixing.workflows.train import Watch, train_model

# Eight passes at a rate that suits so few rows; the held-out messages had no say in it.
SETTINGS = {"epochs": 8, "learning_rate": 2e-4, "batch_size": 16, "snapshot_minutes": 0}


# To be translated: everyday sentences and some of software, with what must stay as it is.
LETTER = """Good morning! Where is the station?
The meeting starts at 9:30, so please don't be late.

The function returns a list of strings. Choose a name, then click {button} to save the file.
See https://example.org/help for more information.
"""


@dataclass(frozen=True)
class Demonstration:
    """What the demo made.

    Attributes:
        finished: The training; its own scores are on a tenth of the training messages.
        report: Scores on the held-out messages, which the training never saw.
        baseline: A bag of words on the same messages.
        messages: Fresh messages, and what the model says of each.
        page: The attention over one of them.
        translation: A letter in French.
    """

    finished: Finished
    report: ClassificationReport
    baseline: Baseline | None
    messages: list[tuple[str, Classification]]
    page: Path
    translation: Translation


def demonstrate(
    out: Path,
    *,
    overwrite: bool = False,
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Demonstration | None:
    """Fine-tune minilm on the built-in support messages, score it, use it; translate a letter.

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
    translation = load_translator("en-fr")(LETTER)
    return Demonstration(finished, report, baseline, said, page, translation)
