"""Try every phase of a run in its first seconds, so that none fails in its last."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from zhixing.errors import ConfigError, FileError, TrainingError
from zhixing.layers.dropout import Noise
from zhixing.tasks.inference import mixed_precision, resolved
from zhixing.training.loop import Run
from zhixing.training.optimizers import count

SPARE_BYTES = 50 * 2**20


def rehearse(
    run: Run, folder: Path, *, evaluate: Callable[[], Mapping[str, float]] | None = None
) -> None:
    """Check the disk, then learn from the longest row and score the longest rows, once.

    The model's weights stay as they were; gradients are cleared.

    Args:
        run: What will be done.
        folder: Where snapshots will lie.
        evaluate: Scores some validation rows; None if there are none.

    Raises:
        FileError: If the disk has no room for the snapshots.
        ConfigError: If the metric that is to choose the best snapshot is not one of the task's.
        TrainingError: If the memory does not suffice or the first loss is not a number.
    """
    check_disk(run, folder)
    try:
        _try_a_step(run)
        if evaluate is not None:
            _check_metric(run.config.metric, list(evaluate()))
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError(
            f"the memory does not suffice for the longest rows ({error}); set micro_tokens below "
            f"{run.config.micro_tokens}, gradient_checkpointing=true, or max_windows below "
            f"{run.config.max_windows}"
        ) from error


def check_disk(run: Run, folder: Path) -> None:
    """Refuse a run whose snapshots would not fit on the disk."""
    size = 4 * count(run.model.parameters())
    trained = 4 * count(p for p in run.model.parameters() if p.requires_grad)
    mean = trained if run.config.average_points else 0
    snapshot = size + 2 * trained + mean
    needed = (run.config.keep_snapshots + 1) * snapshot + 2 * size + SPARE_BYTES
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if run.snapshots is not None and free < needed:
        raise FileError(
            f"{folder} has {free / 2**20:.0f} MiB free, but the run needs about "
            f"{needed / 2**20:.0f}; free some, choose another --out, or set keep_snapshots=1"
        )


def _check_metric(metric: str | None, scores: Sequence[str]) -> None:
    if metric is not None and metric not in scores:
        raise ConfigError(
            f"metric is {metric!r}, which this task does not score; choose one of "
            f"{', '.join(scores)}"
        )


def _try_a_step(run: Run) -> None:
    longest = max(run.examples, key=lambda example: example.num_tokens)
    batch = run.task.collate([longest]).to(run.device)
    with mixed_precision(run.device, resolved(run.config.precision, run.device)):
        loss = run.task.loss(
            run.model,
            batch,
            noise=Noise(("rehearsal",)),
            gradient_checkpointing=run.config.gradient_checkpointing,
        )
        loss.total.backward()
    run.model.zero_grad(set_to_none=True)
    if not bool(loss.total.isfinite()):
        raise TrainingError(
            f"the loss of row {longest.row} is {float(loss.total.detach()):g} before any training; "
            f"the model's weights or that row are damaged"
        )
