"""The known model families by `model_type`, the name in their `config.json`."""

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
from zhixing.models.families.family import Family, architecture_named

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


def written_config(model_type: str, config: ModelConfig) -> dict[str, Any]:
    """Write a family's `config.json`, with its name and that of the class with this head.

    Raises:
        ConfigError: If the family has no such head.
    """
    family = FAMILIES[model_type]
    values = {"model_type": model_type}
    if not family.ARCHITECTURES:
        return {**values, **family.write_config(config)}
    named = architecture_named(family.ARCHITECTURES, config.head)
    return {**values, "architectures": [named], **family.write_config(config)}


def expresses(model_type: str, config: ModelConfig) -> bool:
    """Tell whether a family can say all of a configuration, so that others read the same model.

    That a body has no pooler is said by its weights, not by its `config.json`.
    """
    labels = {"id2label": {str(i): str(i) for i in range(config.num_classes)}}
    try:
        read = FAMILIES[model_type].read_config({**written_config(model_type, config), **labels})
    except (ConfigError, CheckpointError, KeyError):
        return False
    return read == config or (config.head == "none" and replace(read, has_pooler=False) == config)
