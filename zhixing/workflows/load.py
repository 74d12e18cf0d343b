"""Load a model folder to use it: a name or a path to an object that answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.pretrained import load_pretrained
from zhixing.errors import ConfigError
from zhixing.jobs.registry import JOBS, task_of, use_of
from zhixing.tasks.inference import Precision, use_threads


def load(
    model: str | Path,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int = 0,
) -> Any:
    """Load a trained model to use it: what its folder's card says it does.

    Args:
        model: A model folder or a built-in name.
        precision: Of the matrix products: float32, bfloat16, float16, or auto for bfloat16 where
            it is fast; "int8" quantizes a model in a second or so.
        device: cpu, cuda, cuda:N or mps.
        threads: For computing, in the whole process; 0 leaves what torch chose.

    Returns:
        Something to call: with a text it gives a result, with a list it gives a list. A
        `Classifier`, a `Translator`, ....

    Raises:
        CheckpointError: If the folder is incomplete, damaged, or has no head for a task.
    """
    use_threads(threads)
    pretrained = load_pretrained(locate(str(model)))
    return use_of(task_of(pretrained)).open(pretrained, device=device, precision=precision)


def load_for(
    task: str,
    model: str | Path,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int = 0,
) -> Any:
    """Load a model that does a given task; see `load`.

    Raises:
        ConfigError: If it does something else.
    """
    use_threads(threads)
    pretrained = load_pretrained(locate(str(model)))
    other = task_of(pretrained)
    if other != task and (pretrained.card.task or JOBS[task].head):
        raise ConfigError(f"{model} {JOBS[other].does} and does not {task}; use zhixing {other}")
    # Without a card the head decides, unless a person does.
    pretrained = replace(pretrained, card=replace(pretrained.card, task=task))
    return use_of(task).open(pretrained, device=device, precision=precision)
