"""Put int8 onto a trained model, and say how far its answers moved."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.files import check_free_to_write
from zhixing.checkpoints.fingerprint import size_of
from zhixing.checkpoints.pretrained import load_pretrained, save_pretrained
from zhixing.data.readers import read_table
from zhixing.data.roles import Columns
from zhixing.errors import ConfigError
from zhixing.jobs.registry import task_of, use_of
from zhixing.jobs.report import Agreement, Line
from zhixing.models.quantization import is_quantized, quantize
from zhixing.tasks.inference import use_threads


@dataclass(frozen=True)
class QuantizationReport:
    """Say how far int8 moved a model's answers on some rows, and what it weighs.

    Attributes:
        agreement: Of the answers, as the model's task tells it; its fields are this report's too.
        bytes_before, bytes_after: Of the weights.
    """

    agreement: Agreement
    bytes_before: int
    bytes_after: int

    def __getattr__(self, name: str) -> Any:
        """Give a field of the agreement."""
        if name.startswith("__") or name == "agreement":
            raise AttributeError(name)
        return getattr(self.agreement, name)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        sizes = {"bytes_before": self.bytes_before, "bytes_after": self.bytes_after}
        return {**self.agreement.to_dict(), **sizes}

    def lines(self) -> list[Line]:
        """Give lines of a terminal."""
        before, after = self.bytes_before / 2**20, self.bytes_after / 2**20
        sizes = f"weights {before:.1f} MiB before, {after:.1f} MiB after"
        return [*self.agreement.lines(), (sizes, "")]


def quantize_model(
    model: str | Path,
    data: object,
    *,
    out: str | Path,
    columns: Columns = Columns(),
    threads: int = 0,
    overwrite: bool = False,
) -> QuantizationReport:
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
    source = locate(str(model))
    if folder.exists() and folder.samefile(source):
        raise ConfigError(f"{out} is the model itself, which would be lost; name another folder")
    before = load_pretrained(source)
    if is_quantized(before.model):
        raise ConfigError(f"{model} is int8 already; name the model it was made from")
    after = load_pretrained(source)
    quantize(after.model)
    sizes = size_of(before), size_of(after)
    use = use_of(task_of(before))
    opened = (use.open(each, device="cpu", precision="float32") for each in (before, after))
    first, second = opened
    roles = use.scored(before.card, must=False)
    table = read_table(data, columns=columns, roles=roles, **use.reading(before.card))
    report = QuantizationReport(first.agreement(second, table), *sizes)
    card = replace(after.card, quantization=report.to_dict())
    save_pretrained(replace(after, card=card), folder, overwrite=overwrite)
    return report
