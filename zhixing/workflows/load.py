"""A model's name to a Pipeline."""

from pathlib import Path

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.pretrained import load_pretrained
from zhixing.tasks.pipeline import Pipeline
from zhixing.tasks.running import Precision
from zhixing.workflows.preparation import use_threads


def load(
    model: str | Path,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int = 0,
) -> Pipeline:
    """Load a trained model to use it.

    Args:
        model: A model folder or a built-in name.
        precision: Of the matrix products: float32, bfloat16, float16, or auto for bfloat16 where
            it is fast; "int8" quantizes a model in a second or so.
        device: cpu, cuda, cuda:N or mps.
        threads: For computing, in the whole process; 0 leaves what torch chose.

    Returns:
        A pipeline: called with a text it gives a result, with a list it gives a list.

    Raises:
        CheckpointError: If the folder is incomplete, damaged, or has no head for a task.
    """
    use_threads(threads)
    return Pipeline(load_pretrained(locate(str(model))), device=device, precision=precision)
