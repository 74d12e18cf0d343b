"""The registry of jobs: a task's name to where its two halves stand; imported when asked for."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zhixing.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from zhixing.checkpoints.pretrained import Pretrained
    from zhixing.jobs.learn import Learner
    from zhixing.jobs.use import Use


@dataclass(frozen=True)
class JobEntry:
    """Say where a job stands.

    Attributes:
        help: One line for the list of commands.
        does: What its models do, for messages: "writes texts".
        use: `module:attribute` of the half that opens and asks models.
        learn: `module:attribute` of the half that trains them.
        head: A folder without a card, with this head, is opened by this job; None if by none.
    """

    help: str
    does: str
    use: str
    learn: str
    head: str | None = None


# One entry a job; its package holds all that it does its own way.
JOBS: dict[str, JobEntry] = {
    "classify": JobEntry(
        "Give labels to texts, or to every row of a file.",
        "classifies texts",
        use="zhixing.jobs.classify.use:USE",
        learn="zhixing.jobs.classify.learn:LEARN",
        head="classification",
    ),
    "translate": JobEntry(
        "Translate texts of any length, or a file of any size.",
        "writes texts",
        use="zhixing.jobs.translate.use:USE",
        learn="zhixing.jobs.translate.learn:LEARN",
        head="next_token",
    ),
    "summarize": JobEntry(
        "Summarize texts that fit the model, or every row of a file.",
        "writes texts",
        use="zhixing.jobs.summarize.use:USE",
        learn="zhixing.jobs.summarize.learn:LEARN",
    ),
}


def imported(reference: str) -> Any:
    """Give the object that `module:attribute` names."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def entry_named(task: str) -> JobEntry:
    """Give where a task's job stands.

    Raises:
        ConfigError: If there is none.
    """
    if task not in JOBS:
        raise ConfigError(f"task is {task!r}; this version trains: {', '.join(JOBS)}")
    return JOBS[task]


def use_of(task: str) -> "Use":
    """Give the half of a job that opens and asks models."""
    return imported(entry_named(task).use)


def learn_of(task: str) -> "Learner":
    """Give the half of a job that trains models."""
    return imported(entry_named(task).learn)


def task_of(pretrained: "Pretrained") -> str:
    """Tell what a folder opens as: what its card says, or without a card what its head can do.

    Raises:
        CheckpointError: If that is no task of this version, or the model has no head for any.
    """
    task, head = pretrained.card.task, pretrained.config.head
    if task is None:
        task = next((name for name, entry in JOBS.items() if entry.head == head), None)
    if task is None:
        raise CheckpointError(
            f"the model has no head for a task (its head is {head!r}); "
            f"train one with: zhixing train classify --data FILE --model FOLDER --out NEW"
        )
    if task not in JOBS:
        raise CheckpointError(
            f"the model was trained for the task {task!r}, which this version does not know; it "
            f"knows {', '.join(JOBS)}"
        )
    return task
