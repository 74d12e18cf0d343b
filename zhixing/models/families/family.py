"""What a family file provides, and the words that several of them share."""

from collections.abc import Mapping
from typing import Any, Protocol

from zhixing.errors import CheckpointError
from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.weight_names import WeightNames

ACTIVATION_NAMES = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
THEIR_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "relu": "relu",
    "silu": "silu",
}


class Family(Protocol):
    """A module that describes one family; it holds neither a class nor a forward pass."""

    ARCHITECTURES: dict[str, HeadKind]

    def read_config(self, values: Mapping[str, Any]) -> ModelConfig:
        """Give the configuration that a checkpoint's `config.json` describes."""

    def write_config(self, config: ModelConfig) -> dict[str, Any]:
        """Give the keys of a `config.json` that describe this configuration."""

    def weight_names(self, config: ModelConfig) -> WeightNames:
        """Give the table of weight names, `{i}` not yet written out."""


def head_of(values: Mapping[str, Any], architectures: Mapping[str, HeadKind]) -> HeadKind:
    """Tell which head a checkpoint has; an architecture we have no head for gives its body."""
    named = values.get("architectures") or [""]
    return architectures.get(named[0], "none")


def num_labels(values: Mapping[str, Any]) -> int:
    """Tell how many classes a configuration speaks of; two where it does not say, as theirs do."""
    labels = values.get("id2label") or values.get("label2id")
    return len(labels) if labels else int(values.get("num_labels", 2))


def activation_of(values: Mapping[str, Any], key: str, default: str) -> str:
    """Translate their name of an activation.

    Raises:
        CheckpointError: If it is not one we have.
    """
    name = values.get(key, default)
    if name not in ACTIVATION_NAMES:
        allowed = ", ".join(ACTIVATION_NAMES)
        raise CheckpointError(f"config.json: {key} is {name!r}; supported are {allowed}")
    return ACTIVATION_NAMES[name]


def need(values: Mapping[str, Any], key: str) -> Any:
    """Give a value that has no default.

    Raises:
        CheckpointError: If it is absent.
    """
    if values.get(key) is None:
        raise CheckpointError(f"config.json has no {key}; this model cannot be built without it")
    return values[key]


def architecture_named(architectures: Mapping[str, HeadKind], head: HeadKind) -> str:
    """Give the first architecture that has this head."""
    return next(name for name, kind in architectures.items() if kind == head)
