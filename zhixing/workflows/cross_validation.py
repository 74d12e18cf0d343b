"""k-fold cross-validation: how much of a score is luck of the split."""

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zhixing.data.splits import folds
from zhixing.data.table import Table
from zhixing.errors import TrainingError
from zhixing.workflows.preparation import read_labelled
from zhixing.workflows.recipe import Recipe
from zhixing.workflows.train import Watch, train_model


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
    threads: int = 0,
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Spread:
    """Train once a fold and score on the rows held back; no model is kept.

    Raises:
        TrainingError: If it was asked to stop.
    """
    recipe = Recipe().changed(settings or {})
    table = read_labelled(data, recipe.data)
    pair = None if table.pairs is None else "pair"
    kept = replace(recipe.data, text="text", pair=pair, label="label", label_separator=None)
    settings = {**replace(recipe, data=kept).to_dict(), "snapshot_minutes": 0}
    scores: list[float] = []
    metric = ""
    parts = folds(table, num_folds=num_folds, seed=recipe.training.seed)
    for number, (train_rows, held) in enumerate(parts, start=1):
        if watch is not None:
            watch(f"fold {number} of {num_folds}")
        with tempfile.TemporaryDirectory() as box:
            finished = train_model(
                task,
                as_columns(train_rows),
                validation=as_columns(held),
                out=Path(box) / "fold",
                model=model,
                settings=settings,
                device=device,
                threads=threads,
                watch=watch,
                should_stop=should_stop,
            )
        if finished is None or finished.report is None:
            raise TrainingError(f"fold {number} was stopped; cross-validation keeps no snapshots")
        metric, claim = next(iter(finished.report.scores.items()))
        scores.append(claim.value)
    return Spread(metric, tuple(scores))


def as_columns(table: Table) -> dict[str, list[Any]]:
    """Give a table's rows as columns of plain values."""
    columns: dict[str, list[Any]] = {"text": table.texts}
    if table.pairs is not None:
        columns["pair"] = table.pairs
    if table.labels is not None:
        columns["label"] = [list(x) if isinstance(x, tuple) else x for x in table.labels]
    return columns
