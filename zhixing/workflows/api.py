"""The Python face of training: settings as plain keyword arguments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zhixing.workflows.finishing import Finished
from zhixing.workflows.train import Watch, train_model


def train(
    task: str,
    *,
    data: object,
    out: str | Path,
    model: str = "minilm",
    validation: object = None,
    device: str = "cpu",
    threads: int = 0,
    overwrite: bool = False,
    watch: Watch | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> Finished | None:
    """Train a model on labelled rows.

    The arguments are those of `workflows.train.train_model`; all others are settings of the
    recipe, such as `epochs=3`, `learning_rate=1e-4`, `label="stars"`,
    `new={"hidden_size": 128}`. This is the one function
    that takes open keyword arguments: an unknown one is refused with the nearest known name.

    Returns:
        What it came to; None where `should_stop` ended it (`resume` goes on) and, under torchrun,
        on every rank but the first.

    Example:
        `train("classify", data="reviews.csv", out="runs/reviews", epochs=3)`
    """
    return train_model(
        task,
        data,
        out=out,
        model=model,
        validation=validation,
        settings=settings,
        device=device,
        threads=threads,
        overwrite=overwrite,
        watch=watch,
        should_stop=should_stop,
    )
