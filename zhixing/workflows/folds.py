"""k-fold cross-validation: how much of a score is luck of the split."""

import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zhixing.data.splits import folds
from zhixing.errors import ConfigError, TrainingError
from zhixing.jobs.registry import learn_of
from zhixing.training.run_plan import RunPlan
from zhixing.workflows.train import Watch, run_plan


@dataclass(frozen=True)
class Spread:
    """Hold the scores of every fold.

    Attributes:
        metric: Their name.
        scores: One a fold.
    """

    metric: str
    scores: tuple[float, ...]

    def sentence(self) -> str:
        """Say mean and standard deviation over the folds."""
        mean, deviation = statistics.mean(self.scores), statistics.stdev(self.scores)
        return f"{self.metric} {mean:.4f} ± {deviation:.4f} (standard deviation over folds)"


def cross_validate(
    task: str,
    data: object,
    *,
    num_folds: int,
    model: str = "minilm",
    settings: Mapping[str, Any] | None = None,
    device: str = "cpu",
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Spread:
    """Train once a fold and score on the rows held back; no model is kept.

    Raises:
        ConfigError: If it is run by several processes at once.
        TrainingError: If it was asked to stop.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("folds are trained by one process; run them without torchrun")
    learner = learn_of(task)
    recipe = learner.recipe_with(model, settings or {})
    table, _ = learner.read(data, None, recipe.data)
    recipe = replace(recipe, training=replace(recipe.training, snapshot_minutes=0.0))
    plan = RunPlan(
        task,
        data="data.jsonl",
        validation="validation.jsonl",
        model=model,
        recipe=recipe,
        device=device,
        threads=torch.get_num_threads(),
    )
    scores: list[float] = []
    metric = ""
    parts = folds(table, num_folds=num_folds, seed=recipe.training.seed)
    for number, tables in enumerate(parts, start=1):
        if watch is not None:
            watch(f"fold {number} of {num_folds}")
        with tempfile.TemporaryDirectory() as box:
            finished = run_plan(
                plan, tables, Path(box) / "fold", watch=watch, should_stop=should_stop
            )
        if finished is None or finished.report is None:
            raise TrainingError(f"fold {number} was stopped; cross-validation keeps no snapshots")
        known = finished.report.scores
        chosen = recipe.training.metric
        metric = chosen if chosen in known else next(iter(known))
        scores.append(known[metric].value)
    return Spread(metric, tuple(scores))
