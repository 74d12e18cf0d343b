"""Trainings with their settings as a dict, for tests."""

from collections.abc import Mapping
from typing import Any

import zhixing as zx


def train_model(
    task: str, data: object, *, settings: Mapping[str, Any] | None = None, **others: Any
) -> Any:
    """Train with settings that may have dots in their names."""
    return zx.train(task, data=data, **others, **(settings or {}))
