"""XLM-RoBERTa: multilingual RoBERTa, under a `model_type` of its own.

Source: Conneau et al. 2020, arXiv:1911.02116.
"""

from collections.abc import Mapping
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import roberta
from zhixing.models.families.family import architecture_named
from zhixing.models.weight_names import WeightNames

ARCHITECTURES: dict[str, HeadKind] = {
    f"XLM{name}": head for name, head in roberta.ARCHITECTURES.items()
}


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read XLM-RoBERTa's `config.json`, whose keys are RoBERTa's."""
    return roberta.read_config(values)


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write XLM-RoBERTa's `config.json`."""
    return {
        **roberta.write_config(config),
        "model_type": "xlm-roberta",
        "architectures": [architecture_named(ARCHITECTURES, config.head)],
    }


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to XLM-RoBERTa's state-dict names, as RoBERTa's."""
    return roberta.weight_names(config)
