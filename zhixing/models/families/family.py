"""The protocol of a model family, and the readers of config.json keys that several share."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from zhixing.errors import CheckpointError, ConfigError
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


@runtime_checkable
class Family(Protocol):
    """A module that describes one model family; it holds neither a class nor a forward pass."""

    ARCHITECTURES: dict[str, HeadKind]

    def read_config(self, values: Mapping[str, Any]) -> ModelConfig:
        """Give the configuration that a checkpoint's `config.json` describes."""

    def write_config(self, config: ModelConfig) -> dict[str, Any]:
        """Give the keys of a `config.json` that describe this configuration, its type aside."""

    def weight_names(self, config: ModelConfig) -> WeightNames:
        """Give the table of state-dict names, `{i}` not yet written out."""


def head_of(values: Mapping[str, Any], architectures: Mapping[str, HeadKind]) -> HeadKind:
    """Tell which head a checkpoint has; an architecture we have no head for gives its body."""
    return architectures.get(architecture_of(values), "none")


def architecture_of(values: Mapping[str, Any]) -> str:
    """Give `architectures[0]`, the class a checkpoint was made with; empty where it does not say.

    Raises:
        CheckpointError: If what is there is no list of names.
    """
    named = values.get("architectures") or [""]
    if not isinstance(named, list) or not isinstance(named[0], str):
        raise CheckpointError(f"architectures is {named!r}; it has to be a list of class names")
    return named[0]


def num_labels(values: Mapping[str, Any]) -> int:
    """Count the classes of `id2label` or `num_labels`; two where it does not say, as theirs do.

    Raises:
        CheckpointError: If what is there is neither a table of labels nor a number.
    """
    labels = values.get("id2label") or values.get("label2id")
    if labels and not isinstance(labels, Mapping):
        raise CheckpointError(
            f"id2label is {labels!r}; it has to be an object of numbers and labels"
        )
    number = len(labels) if labels else values.get("num_labels", 2)
    if not isinstance(number, int):
        raise CheckpointError(f"num_labels is {number!r}; it has to be a whole number")
    return number


def number_of(values: Mapping[str, Any], key: str, default: float | None) -> Any:
    """Give a number that may have been written without a point; anything else as it is."""
    value = values.get(key, default)
    return float(value) if type(value) is int else value


def activation_of(values: Mapping[str, Any], key: str, default: str) -> str:
    """Translate their name of an activation function into ours.

    Raises:
        CheckpointError: If it is not one we have.
    """
    name = values.get(key, default)
    if not isinstance(name, str) or name not in ACTIVATION_NAMES:
        allowed = ", ".join(ACTIVATION_NAMES)
        raise CheckpointError(f"{key} is {name!r}; supported are {allowed}")
    return ACTIVATION_NAMES[name]


def need(values: Mapping[str, Any], key: str) -> Any:
    """Give a required value of a `config.json`.

    Raises:
        CheckpointError: If it is absent.
    """
    if values.get(key) is None:
        raise CheckpointError(f"there is no {key}; this model cannot be built without it")
    return values[key]


def padding_of(values: Mapping[str, Any]) -> int:
    """Give the padding id, where positions are counted from it.

    Raises:
        CheckpointError: If it is not a whole number.
    """
    padding = values.get("pad_token_id", 1)
    if type(padding) is not int or padding < 0:
        raise CheckpointError(
            f"pad_token_id is {padding!r}; positions are counted from it, so it has to be a whole "
            f"number, 1 as published"
        )
    return padding


def architecture_named(architectures: Mapping[str, HeadKind], head: HeadKind) -> str:
    """Give the first architecture that has this head."""
    named = next((name for name, kind in architectures.items() if kind == head), None)
    if named is None:
        raise ConfigError(f"head is {head!r}, which this family does not have")
    return named
