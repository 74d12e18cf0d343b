"""The known model families by `model_type`, the name in their `config.json`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zhixing.errors import CheckpointError, ConfigError
from zhixing.models.config import ModelConfig
from zhixing.models.families import (
    bart,
    bert,
    distilbert,
    fsmt,
    m2m_100,
    marian,
    mbart,
    mt5,
    own,
    roberta,
    t5,
    xlm_roberta,
)
from zhixing.models.families.family import Family

FAMILIES: dict[str, Family] = {
    "bert": bert,
    "roberta": roberta,
    "xlm-roberta": xlm_roberta,
    "distilbert": distilbert,
    "fsmt": fsmt,
    "marian": marian,
    "bart": bart,
    "mbart": mbart,
    "t5": t5,
    "mt5": mt5,
    "m2m_100": m2m_100,
    own.TYPE: own,
}


def family_named(model_type: object) -> Family:
    """Give a model family by its `model_type`.

    Raises:
        CheckpointError: If we do not know it.
    """
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise CheckpointError(f"model_type is {model_type!r}; supported are {', '.join(FAMILIES)}")
    return FAMILIES[model_type]


def expresses(model_type: str, config: ModelConfig) -> bool:
    """Tell whether a family can say all of a configuration, so that others read the same model.

    That a body has no pooler is said by its weights, not by its `config.json`.
    """
    family = FAMILIES[model_type]
    try:
        values: Mapping[str, Any] = family.write_config(config)
        labels = {"id2label": {str(i): str(i) for i in range(config.num_classes)}}
        read = family.read_config({**values, **labels})
    except (ConfigError, CheckpointError, KeyError):
        return False
    return read == config or (config.head == "none" and replace(read, has_pooler=False) == config)
