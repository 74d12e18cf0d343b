"""Put int8 onto a trained model, and say how far its answers moved."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.files import check_free_to_write
from zhixing.checkpoints.fingerprint import size_of
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained, save_pretrained
from zhixing.data.batch import label_ids
from zhixing.data.readers import read_table
from zhixing.data.table import Columns
from zhixing.errors import ConfigError, DataError
from zhixing.metrics.bleu import text_scores
from zhixing.models.quantization import is_quantized, quantize
from zhixing.tasks.classifier import Classifier
from zhixing.tasks.inference import use_threads
from zhixing.tasks.translation.translator import Translator
from zhixing.version import __version__


@dataclass(frozen=True)
class QuantizationReport:
    """Say how far int8 moved a model's answers on some rows.

    Attributes:
        rows: How many texts.
        same_label: Share whose most probable label stayed.
        largest_shift: The most that any probability moved.
        mean_shift: Over rows, the mean of each row's largest.
        accuracy_before, accuracy_after: Where the rows are labelled, else None.
        bytes_before, bytes_after: Of the weights.
        data: SHA-256 of the rows.
        version: Of this package.
    """

    rows: int
    same_label: float
    largest_shift: float
    mean_shift: float
    accuracy_before: float | None
    accuracy_after: float | None
    bytes_before: int
    bytes_after: int
    data: str
    version: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


@dataclass(frozen=True)
class TextQuantizationReport:
    """Say how far int8 moved what a model writes about some rows.

    Attributes:
        rows: How many texts.
        same_text: Share about which the same was written, to the letter.
        bleu_before, bleu_after: Where the rows have targets, else None.
        chrf_before, chrf_after: The same.
        bytes_before, bytes_after: Of the weights.
        data: SHA-256 of the rows.
        version: Of this package.
    """

    rows: int
    same_text: float
    bleu_before: float | None
    bleu_after: float | None
    chrf_before: float | None
    chrf_after: float | None
    bytes_before: int
    bytes_after: int
    data: str
    version: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)


def quantize_model(
    model: str | Path,
    data: object,
    *,
    out: str | Path,
    columns: Columns = Columns(),
    threads: int = 0,
    overwrite: bool = False,
) -> QuantizationReport | TextQuantizationReport:
    """Save an int8 twin of a model, with a report that is kept in its folder.

    Args:
        model: A trained model folder.
        data: Texts to compare answers on; their labels or targets are used where there are any.
        out: The new folder.
        columns: Which columns hold what.
        threads: For computing; 0 leaves what torch chose.
        overwrite: Replace what is in `out`.

    Raises:
        ConfigError: If the model is int8 already.
    """
    use_threads(threads)
    folder = Path(out)
    check_free_to_write(folder, overwrite=overwrite)
    place = locate(str(model))
    if folder.exists() and folder.samefile(place):
        raise ConfigError(f"{out} is the model itself, which would be lost; name another folder")
    before = load_pretrained(place)
    if is_quantized(before.model):
        raise ConfigError(f"{model} is int8 already; name the model it was made from")
    after = load_pretrained(place)
    quantize(after.model)
    look = compare if before.model.next_token is None else compare_texts
    report = look(before, after, data, columns)
    card = replace(after.card, quantization=report.to_dict())
    save_pretrained(replace(after, card=card), folder, overwrite=overwrite)
    return report


def compare(
    before: Pretrained, after: Pretrained, data: object, columns: Columns
) -> QuantizationReport:
    """Let two models classify the same rows."""
    first, second = Classifier(before), Classifier(after)
    table = read_table(
        data,
        columns=columns,
        needs_labels=False,
        multi_label=before.card.is_multi_label,
        label_separator=before.card.label_separator,
    )
    examples = first.encode(table)
    logits = [pipeline.logits(examples).double() for pipeline in (first, second)]
    temperature = before.card.temperature
    multi = before.card.is_multi_label
    chances = [
        (x / temperature).sigmoid() if multi else (x / temperature).softmax(-1) for x in logits
    ]
    shifts = (chances[0] - chances[1]).abs().max(-1).values
    accuracies: list[float | None] = [None, None]
    if table.labels is not None and not multi:
        targets = label_ids(examples)
        accuracies = [float((x.argmax(-1) == targets).double().mean()) for x in logits]
    return QuantizationReport(
        rows=len(examples),
        same_label=float((logits[0].argmax(-1) == logits[1].argmax(-1)).double().mean()),
        largest_shift=float(shifts.max()),
        mean_shift=float(shifts.mean()),
        accuracy_before=accuracies[0],
        accuracy_after=accuracies[1],
        bytes_before=size_of(before),
        bytes_after=size_of(after),
        data=table.fingerprint(),
        version=__version__,
    )


def compare_texts(
    before: Pretrained, after: Pretrained, data: object, columns: Columns
) -> TextQuantizationReport:
    """Let two models write about the same rows, searching alike."""
    try:
        table = read_table(data, columns=columns, needs_labels=False, needs_targets=True)
    except DataError:
        if columns.target is not None:
            raise
        table = read_table(data, columns=replace(columns, label=None), needs_labels=False)
    first, second = (
        [one.text for one in Translator(model).translate(table.texts)] for model in (before, after)
    )
    scores = [
        None if table.targets is None else text_scores(written, table.targets)
        for written in (first, second)
    ]
    bleu = [None if one is None else one.bleu for one in scores]
    chrf = [None if one is None else one.chrf for one in scores]
    return TextQuantizationReport(
        rows=len(table),
        same_text=sum(a == b for a, b in zip(first, second, strict=True)) / len(table),
        bleu_before=bleu[0],
        bleu_after=bleu[1],
        chrf_before=chrf[0],
        chrf_after=chrf[1],
        bytes_before=size_of(before),
        bytes_after=size_of(after),
        data=table.fingerprint(),
        version=__version__,
    )
