"""The project's own form, for models that no published family can express.

Every field of `ModelConfig` stands in `config.json` under its own name, and the weights keep ours.
Other tools do not open such a folder; `model_type` says so.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.transformer import Transformer
from zhixing.models.weight_names import Plain, WeightNames

ARCHITECTURES: dict[str, HeadKind] = {}
TYPE = "zhixing"


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read the settings, which stand under one key."""
    return ModelConfig.from_dict(values.get("settings", {}))


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write every field under its own name."""
    return {"model_type": TYPE, "settings": asdict(config)}


def weight_names(config: ModelConfig) -> WeightNames:
    """Name every weight as it is."""
    with torch.device("meta"):
        parameters = dict(Transformer(config).named_parameters())
    return WeightNames({name: Plain(name) for name in parameters})
