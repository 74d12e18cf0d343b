"""The kinds of training by name, and what each adds to the one way a run goes."""

from collections.abc import Callable
from dataclasses import dataclass

from zhixing.data.table import Table
from zhixing.errors import ConfigError
from zhixing.jobs.preparation import Prepared, prepare, read_tables
from zhixing.jobs.sequence_to_sequence.learn import (
    conclude_pairs,
    pair_recipe,
    prepare_pairs,
    read_pairs,
)
from zhixing.models.transformer import Transformer
from zhixing.training.recipe import DataChoice, Recipe
from zhixing.training.run_plan import RunPlan
from zhixing.workflows.finishing import Outcome, conclude_classes

Tables = tuple[Table, Table | None]


@dataclass(frozen=True)
class Job:
    """What a kind of training does its own way.

    Attributes:
        recipe: The settings, unless they are changed, for a model of this name.
        read: Rows to learn from, and those to score on where they are given.
        prepare: Everything that a training needs before the first step.
        conclude: What a trained model came to.
    """

    recipe: Callable[[str], Recipe]
    read: Callable[[object, object, DataChoice], Tables]
    prepare: Callable[[RunPlan, Tables], Prepared]
    conclude: Callable[[RunPlan, Prepared, Transformer], Outcome]


def _usual(_: str) -> Recipe:
    return Recipe()


PAIRS = Job(pair_recipe, read_pairs, prepare_pairs, conclude_pairs)
JOBS = {
    "classify": Job(_usual, read_tables, prepare, conclude_classes),
    "translate": PAIRS,
    "summarize": PAIRS,
}


def job_named(task: str) -> Job:
    """Give a kind of training by its name.

    Raises:
        ConfigError: If there is none.
    """
    if task not in JOBS:
        raise ConfigError(f"task is {task!r}; this version trains: {', '.join(JOBS)}")
    return JOBS[task]
