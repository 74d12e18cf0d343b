"""What every job tells of a model: scores on a set, and how far another precision moves answers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor

from zhixing.checkpoints.fingerprint import model_hash
from zhixing.data.table import Table
from zhixing.evaluation.claims import RESAMPLES, Claim, Origin, signature_of
from zhixing.jobs.registry import imported
from zhixing.metrics.intervals import bootstrap_interval
from zhixing.version import __version__

# A line for a terminal, and its style: "", "bold" or "dim".
Line = tuple[str, str]


@dataclass(frozen=True)
class Report:
    """Scores on a set, each with an interval, all with one signature.

    Attributes:
        rows: How many.
        scores: Metric name to score; the first is the task's own.
        signature: What the scores are claims about.
    """

    rows: int
    scores: dict[str, Claim]
    signature: str

    # Where the sections of its page are made, so that scoring imports no pages.
    pages: ClassVar[str] = "zhixing.jobs.pages:score_sections"
    # How a score is written.
    digits: ClassVar[int] = 3

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return asdict(self)

    def kept(self) -> dict[str, Any]:
        """Give what a model's card keeps."""
        scores: dict[str, Any] = {
            name: {"value": claim.value, "low": claim.interval.low, "high": claim.interval.high}
            for name, claim in self.scores.items()
        }
        return {**scores, "signature": self.signature}

    def lines(self) -> list[Line]:
        """Give the scores as lines of a terminal."""
        return [*self.score_lines(), (self.signature, "dim")]

    def detail_lines(self) -> list[Line]:
        """Give what an evaluation tells beyond the scores."""
        return []

    def score_lines(self) -> list[Line]:
        """Give a table of the scores and their intervals."""
        spaces = max(20, *map(len, self.scores))
        lines = [(f"{'':<{spaces}}  score   95 % interval", "")]
        for name, claim in self.scores.items():
            low, high = claim.interval.low, claim.interval.high
            row = f"{name.replace('_', ' '):<{spaces}}{claim.value:7.{self.digits}f}"
            lines.append((f"{row}  {low:.{self.digits}f} to {high:.{self.digits}f}", ""))
        return lines

    def sections(self, texts: Sequence[str]) -> list[Any]:
        """Give the sections of its page.

        Args:
            texts: Of the rows.
        """
        return imported(self.pages)(self, texts)


@dataclass(frozen=True)
class Agreement:
    """Say how far another precision moved a model's answers on some rows.

    Attributes:
        rows: How many texts.
        data: SHA-256 of the rows.
        version: Of this package.
    """

    rows: int
    data: str
    version: str

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return asdict(self)

    def lines(self) -> list[Line]:
        """Give lines of a terminal."""
        return [(f"{self.rows:,} rows", "")]


def mean_report(
    metric: str, values: Float[Tensor, " B"], table: Table, model: Any, *, seed: int = 0
) -> Report:
    """Report a metric that is the mean of one number a row, with its bootstrap interval.

    Args:
        metric: Its name.
        values: One a row, the larger the better.
        table: The rows.
        model: Opened.
        seed: Of the bootstrap.
    """
    interval = bootstrap_interval(values.double(), resamples=RESAMPLES, seed=seed)
    origin = Origin(table.fingerprint(), model_hash(model.model), __version__, seed)
    claim = Claim(float(values.double().mean()), interval)
    return Report(len(table), {metric: claim}, signature_of(metric, len(table), origin))
