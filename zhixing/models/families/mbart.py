"""mBART: multilingual BART, pre-norm.

Source: Liu et al. 2020, arXiv:2001.08210.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import bart
from zhixing.models.families.family import architecture_named, head_of
from zhixing.models.weight_names import WeightNames

ARCHITECTURES: dict[str, HeadKind] = {
    "MBartForConditionalGeneration": "next_token",
    "MBartModel": "none",
}


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read mBART's `config.json`."""
    config = bart.shared_config(values, head_of(values, ARCHITECTURES))
    biased = config.head == "next_token"
    return replace(config, norm="pre", embedding_norm=True, output_bias=biased)


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write mBART's `config.json`."""
    return {
        "model_type": "mbart",
        "architectures": [architecture_named(ARCHITECTURES, config.head)],
        **bart.shared_values(config),
    }


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to mBART's state-dict names, as BART's."""
    return bart.shared_names(config)
