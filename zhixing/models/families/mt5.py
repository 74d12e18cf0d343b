"""mT5: multilingual T5 1.1, under a `model_type` of its own.

Source: Xue et al. 2021, arXiv:2010.11934.
"""

from collections.abc import Mapping
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import t5
from zhixing.models.families.family import architecture_of

ARCHITECTURES: dict[str, HeadKind] = {f"M{name}": head for name, head in t5.ARCHITECTURES.items()}
write_config, weight_names = t5.write_config, t5.weight_names


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read mT5's `config.json`, whose keys are T5's; logits are never scaled."""
    named = [architecture_of(values).removeprefix("M")]
    usual = {"feed_forward_proj": "gated-gelu"}
    never = {"architectures": named, "scale_decoder_outputs": False}
    return t5.read_config({**usual, **values, **never})
