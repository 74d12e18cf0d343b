"""A model's name to a Classifier."""

from pathlib import Path

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.pretrained import load_pretrained
from zhixing.errors import ConfigError
from zhixing.jobs.translate.learn_shortlist import load_shortlist
from zhixing.models.quantization import keep_output
from zhixing.tasks.batching import Precision
from zhixing.tasks.classifier import Classifier
from zhixing.tasks.inference import use_threads
from zhixing.tasks.translation.translator import Translator


def load(
    model: str | Path,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int = 0,
) -> Classifier | Translator:
    """Load a trained model to use it: one that classifies, or one that writes.

    Args:
        model: A model folder or a built-in name.
        precision: Of the matrix products: float32, bfloat16, float16, or auto for bfloat16 where
            it is fast; "int8" quantizes a model in a second or so.
        device: cpu, cuda, cuda:N or mps.
        threads: For computing, in the whole process; 0 leaves what torch chose.

    Returns:
        Something to call: with a text it gives a result, with a list it gives a list.

    Raises:
        CheckpointError: If the folder is incomplete, damaged, or has no head for a task.
    """
    use_threads(threads)
    pretrained = load_pretrained(locate(str(model)))
    if pretrained.model.next_token is not None:
        return Translator(pretrained, device=device, precision=precision)
    return Classifier(pretrained, device=device, precision=precision)


def load_classifier(
    model: str | Path,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int = 0,
) -> Classifier:
    """Load a model that classifies; see `load`.

    Raises:
        ConfigError: If it does something else.
    """
    loaded = load(model, precision=precision, device=device, threads=threads)
    if isinstance(loaded, Classifier):
        return loaded
    raise ConfigError(f"{model} writes texts and does not classify; use zhixing translate")


def load_translator(
    model: str | Path,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int = 0,
    shortlist: str | Path | None = None,
) -> Translator:
    """Load a model that writes; see `load`.

    Args:
        model: A model folder or a built-in name.
        precision: Of the matrix products.
        device: cpu, cuda, cuda:N or mps.
        threads: For computing.
        shortlist: A file that `learn_shortlist` wrote; None to write with the whole vocabulary.

    Raises:
        ConfigError: If it does something else.
        CheckpointError: If the shortlist is one of another vocabulary.
    """
    loaded = load(model, precision=precision, device=device, threads=threads)
    if isinstance(loaded, Translator):
        if shortlist is not None:
            loaded.shortlist = load_shortlist(shortlist, loaded)
            keep_output(loaded.model)
        return loaded
    raise ConfigError(f"{model} classifies texts and does not write any; use zhixing classify")
