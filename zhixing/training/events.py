"""Events of a training run: step, evaluation, snapshot, end."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stepped:
    """One optimizer step is done.

    Steps count from 1, `epoch` is the share of the data read so far; the loss is the mean over the
    step's targets, and the gradient norm that before clipping.
    """

    step: int
    total: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float


@dataclass(frozen=True)
class Evaluated:
    """Validation was scored; `is_best` if by the chosen metric it never was better."""

    step: int
    epoch: float
    scores: Mapping[str, float]
    is_best: bool
    seconds: float


@dataclass(frozen=True)
class Saved:
    """A snapshot was written."""

    step: int
    path: Path
    seconds: float


@dataclass(frozen=True)
class Ended:
    """The run is over: it came to its end, stopped early, or was asked to stop (`is_stopped`)."""

    step: int
    reason: str
    is_stopped: bool = False


Event = Stepped | Evaluated | Saved | Ended
