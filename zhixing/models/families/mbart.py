"""mBART: multilingual BART, pre-norm.

Source: Liu et al. 2020, arXiv:2001.08210.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import bart
from zhixing.models.families.family import head_of

ARCHITECTURES: dict[str, HeadKind] = {
    "MBartForConditionalGeneration": "next_token",
    "MBartModel": "none",
}
write_config, weight_names = bart.write_config, bart.weight_names


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read mBART's `config.json`."""
    config = bart.shared_config(values, head_of(values, ARCHITECTURES))
    biased = config.head == "next_token"
    return replace(config, norm="pre", embedding_norm=True, output_bias=biased)
