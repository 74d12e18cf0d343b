"""The project's own checkpoint format, for models that no published family can express.

Every field of `ModelConfig` stands in `config.json` under its own name, and the weights keep ours.
Other tools do not open such a folder; `model_type` says so.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from zhixing.errors import CheckpointError
from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.transformer import Transformer
from zhixing.models.weight_names import Plain, WeightNames

ARCHITECTURES: dict[str, HeadKind] = {}
TYPE = "zhixing"
REQUIRED_SIZES = ("hidden_size", "encoder_layers", "num_heads", "feed_forward_size")


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read our `config.json`, whose settings stand under one key."""
    settings = values.get("settings")
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"settings is {settings!r}; it has to be an object of model settings")
    missing = sorted({"vocab_size", *REQUIRED_SIZES} - set(settings))
    if missing:
        raise CheckpointError(f"settings lacks {', '.join(missing)}; save the model again")
    return ModelConfig.from_dict(settings)


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write our `config.json`: every field under its own name."""
    return {"settings": asdict(config)}


def weight_names(config: ModelConfig) -> WeightNames:
    """Keep our own state-dict names."""
    with torch.device("meta"):
        parameters = dict(Transformer(config).named_parameters())
    return WeightNames({name: Plain(name) for name in parameters})
