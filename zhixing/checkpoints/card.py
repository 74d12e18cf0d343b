"""The model card, zhixing.json: task, labels, thresholds, scores, how a model was trained."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from zhixing.checkpoints.files import read_json, write_json
from zhixing.errors import CheckpointError
from zhixing.tokenization.tokenizer import Tokenizer

CARD_FILE = "zhixing.json"
CARD_FORMAT = 1
_OBJECT = (dict, "an object")
_FIELD_TYPES: dict[str, tuple[Any, str]] = {
    "task": (str | None, "a name or null"),
    "labels": (list, "a list of names"),
    "is_multi_label": (bool, "true or false"),
    "is_pair": (bool, "true or false"),
    "label_separator": (str | None, "a name or null"),
    "temperature": (float | int, "a number above 0"),
    "thresholds": (list, "a list of numbers"),
    "training": _OBJECT,
    "scores": _OBJECT,
    "quantization": _OBJECT,
    "probe": _OBJECT,
}
_ITEM_TYPES: dict[str, Any] = {"labels": str, "thresholds": float | int}
PROBE_TEXT = "Knowing and doing are one: 知行合一, 100 %!"


@dataclass(frozen=True)
class Card:
    """Hold a model card: what travels with the weights.

    Attributes:
        task: "classify", ...; None for a body.
        labels: Names of the classes, in the order of the logits.
        is_multi_label: A text may bear several labels, or none.
        is_pair: Every row is a pair of texts.
        label_separator: Between several labels in one cell of the rows it was trained on.
        temperature: Divides the logits before they become probabilities.
        thresholds: Of each label, for multi-label.
        training: How it was trained: data hashes, settings, versions, seed, command.
        scores: What it was found to score, each with its signature.
        quantization: How far int8 moved its answers; empty where it is not int8.
        probe: A text and the token ids it has to give.
    """

    task: str | None = None
    labels: tuple[str, ...] = ()
    is_multi_label: bool = False
    is_pair: bool = False
    label_separator: str | None = None
    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    quantization: Mapping[str, Any] = field(default_factory=dict)
    probe: Mapping[str, Any] = field(default_factory=dict)


def probe_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """Tokenize the card's probe text, so that a folder's tokenizer can be recognized later."""
    return {"text": PROBE_TEXT, "ids": tokenizer.ids([PROBE_TEXT])[0]}


def read_card(folder: Path) -> Card | None:
    """Read a folder's model card; None where it has none.

    Raises:
        CheckpointError: If it is of a later format, has fields we do not know, or values that
            are not what a field holds.
    """
    if not (folder / CARD_FILE).exists():
        return None
    values = read_json(folder / CARD_FILE)
    version = values.pop("format", None)
    if version != CARD_FORMAT:
        raise CheckpointError(
            f"{folder / CARD_FILE} has format {version!r}; this version reads {CARD_FORMAT}: "
            f"upgrade zhixing"
        )
    known = {f.name for f in fields(Card)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise CheckpointError(f"{folder / CARD_FILE} has unknown fields {', '.join(unknown)}")
    faults = _faults(values)
    if faults:
        raise CheckpointError(f"{folder / CARD_FILE}: {'; '.join(faults)}; save the model again")
    lists: dict[str, Any] = {
        name: tuple(values[name]) for name in ("labels", "thresholds") if name in values
    }
    values.update(lists)
    return Card(**values)


def write_card(card: Card, folder: Path) -> None:
    """Write a folder's model card."""
    values: dict[str, Any] = {"format": CARD_FORMAT}
    values.update(asdict(card))
    write_json(folder / CARD_FILE, values)


def check_probe(card: Card, tokenizer: Tokenizer, folder: Path) -> None:
    """Refuse a tokenizer that reads the probe otherwise than the one the model was saved with.

    Raises:
        CheckpointError: If the ids differ.
    """
    if not card.probe:
        return
    ids = tokenizer.ids([card.probe["text"]])[0]
    if ids != list(card.probe["ids"]):
        raise CheckpointError(
            f"{folder}: the tokenizer reads the probe text as {ids[:8]}... instead of "
            f"{list(card.probe['ids'])[:8]}...; its files do not belong to these weights"
        )


def _faults(values: Mapping[str, Any]) -> list[str]:
    """Name the fields of a card whose values are not what they hold."""
    wrong = [name for name, value in values.items() if not _fits(name, value)]
    faults = [f"{name} is {values[name]!r} and has to be {_FIELD_TYPES[name][1]}" for name in wrong]
    probe = {} if "probe" in wrong else values.get("probe", {})
    if probe and not (isinstance(probe.get("text"), str) and isinstance(probe.get("ids"), list)):
        faults.append(f"probe is {probe!r} and has to hold a text and a list of ids")
    return faults


def _fits(name: str, value: Any) -> bool:
    if not isinstance(value, _FIELD_TYPES[name][0]):
        return False
    if name == "temperature":
        return bool(value > 0)
    return name not in _ITEM_TYPES or all(isinstance(item, _ITEM_TYPES[name]) for item in value)
