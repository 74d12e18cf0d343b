"""M2M-100 and NLLB: pre-norm, sinusoidal positions, a hundred languages and two hundred.

Source: Fan et al. 2020, arXiv:2010.11125; NLLB Team 2022, arXiv:2207.04672.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families import bart
from zhixing.models.families.family import head_of, padding_of
from zhixing.models.weight_names import WeightNames

ARCHITECTURES: dict[str, HeadKind] = {
    "M2M100ForConditionalGeneration": "next_token",
    "M2M100Model": "none",
}


def read_config(values: Mapping[str, Any]) -> ModelConfig:
    """Read M2M-100's `config.json`; a first token's position is the padding id plus one."""
    config = bart.shared_config(
        {"activation_function": "relu", "scale_embedding": True, **values},
        head_of(values, ARCHITECTURES),
    )
    return replace(
        config,
        norm="pre",
        positions="sinusoidal",
        sinusoid="halves_inclusive",
        position_offset=padding_of(values) + 1,
    )


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Write M2M-100's `config.json`."""
    return {**bart.write_config(config), "pad_token_id": config.position_offset - 1}


def weight_names(config: ModelConfig) -> WeightNames:
    """Map our weights to M2M-100's state-dict names, as BART's without a bias on the logits."""
    return bart.weight_names(config, biases=None)
