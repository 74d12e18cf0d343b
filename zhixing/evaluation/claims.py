"""A score as a claim: its value, its confidence interval, and what it was measured on and with."""

from dataclasses import dataclass

from zhixing.metrics.intervals import Interval
from zhixing.metrics.signature import Signature

RESAMPLES = 1000


@dataclass(frozen=True)
class Origin:
    """Say what a score was measured on and with; all of it stands in the signature.

    Attributes:
        data: SHA-256 of the rows.
        model: SHA-256 of the weights.
        version: Of this package.
        seed: Of the bootstrap.
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
    """Sign a score: metric, rows, seed, bootstrap, and the hashes of data and model."""
    return str(
        Signature(
            metric,
            rows,
            origin.seed,
            RESAMPLES,
            origin.data[:12],
            origin.model[:12],
            origin.version,
        )
    )
