"""A score as a claim: its value, its confidence interval, and what it was measured on and with."""

from dataclasses import dataclass

from zhixing.metrics.intervals import Interval

RESAMPLES = 1000


@dataclass(frozen=True)
class Origin:
    """Say what a score was measured on and with; all of it stands in the signature.

    Data and model are the SHA-256 of rows and weights, the seed that of the bootstrap.
    """

    data: str
    model: str
    version: str
    seed: int = 0


@dataclass(frozen=True)
class Claim:
    """A score with its interval."""

    value: float
    interval: Interval


def signature_of(metric: str, rows: int, origin: Origin) -> str:
    """Sign a score: all that must be equal for two to be comparable, in one line.

    Source:
        Post 2018, "A Call for Clarity in Reporting BLEU Scores", arXiv:1804.08771, section 4.

    Example:
        >>> signature_of("accuracy", 872, Origin(data="ab12", model="cd34", version="0.1.0"))
        'metric:accuracy|rows:872|seed:0|bootstrap:1000|data:ab12|model:cd34|version:0.1.0'
    """
    measured = f"metric:{metric}|rows:{rows}|seed:{origin.seed}|bootstrap:{RESAMPLES}"
    return f"{measured}|data:{origin.data[:12]}|model:{origin.model[:12]}|version:{origin.version}"
