"""Recipes of the project's own, each chosen on a tenth of a training file and then fixed."""

from typing import Any

SENTIMENT: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 16,
    "rate": 1e-4,
    "evaluations_per_epoch": 0,
}

FROM_SCRATCH: dict[str, Any] = {
    "epochs": 12,
    "batch_size": 32,
    "rate": 1e-3,
    "weight_decay": 0.05,
    "new.vocabulary": "wordpiece",
    "new.vocab_size": 8000,
    "evaluations_per_epoch": 0,
}
