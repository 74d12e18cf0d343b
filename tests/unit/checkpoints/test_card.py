import json
from pathlib import Path
from typing import Any

import pytest

from zhixing.checkpoints.card import (
    CARD_FILE,
    PROBE_TEXT,
    Card,
    check_probe,
    probe_of,
    read_card,
    write_card,
)
from zhixing.errors import CheckpointError
from zhixing.tokenization.tokenizer import Tokenizer


def write(folder: Path, **values: Any) -> None:
    (folder / CARD_FILE).write_text(json.dumps({"format": 1, **values}), encoding="utf-8")


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    card = Card(
        task="classify",
        labels=("差", "good"),
        is_multi_label=True,
        temperature=1.5,
        thresholds=(0.5, 0.25),
        training={"seed": 3},
        scores={"accuracy": 0.9},
        quantization={"moved": 0.01},
        probe={"text": "a", "ids": [1]},
    )
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card
    assert json.loads((tmp_path / CARD_FILE).read_text(encoding="utf-8"))["format"] == 1


def test_a_folder_may_have_no_card(tmp_path: Path) -> None:
    assert read_card(tmp_path) is None


@pytest.mark.parametrize("version", [2, None, "1"])
def test_a_card_of_another_format_is_refused(tmp_path: Path, version: object) -> None:
    write(tmp_path, format=version)
    with pytest.raises(CheckpointError, match=f"has format {version!r}; this version reads 1: upg"):
        read_card(tmp_path)


def test_unknown_fields_are_all_named(tmp_path: Path) -> None:
    write(tmp_path, colour="red", age=3)
    with pytest.raises(CheckpointError, match="has unknown fields age, colour"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("task", 5, "a name or null"),
        ("labels", 5, "a list of names"),
        ("labels", ["good", 2], "a list of names"),
        ("is_multi_label", "yes", "true or false"),
        ("temperature", "hot", "a number above 0"),
        ("temperature", 0, "a number above 0"),
        ("thresholds", ["half"], "a list of numbers"),
        ("training", [], "an object"),
        ("scores", 0.9, "an object"),
        ("quantization", None, "an object"),
        ("probe", "text", "an object"),
        ("probe", {"text": "a"}, "a text and a list of ids"),
        ("probe", {"text": 1, "ids": []}, "a text and a list of ids"),
    ],
)
def test_a_value_of_another_kind_is_refused(
    tmp_path: Path, name: str, value: object, allowed: str
) -> None:
    write(tmp_path, **{name: value})
    with pytest.raises(CheckpointError) as caught:
        read_card(tmp_path)
    assert f"{CARD_FILE}: {name} is {value!r} and has to " in str(caught.value)
    assert allowed in str(caught.value)


def test_the_probe_recognizes_its_own_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    probe = probe_of(tokenizer)
    assert probe["text"] == PROBE_TEXT
    assert probe["ids"][:5] == [5, 6, 7, 8, 9]
    check_probe(Card(probe=probe), tokenizer, tmp_path)


def test_another_tokenizer_is_refused_with_both_readings(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=r"as \[5, 6\]\.\.\. instead of \[6, 5\]\.\.\.; its"):
        check_probe(Card(probe={"text": "Knowing and", "ids": [6, 5]}), tokenizer, tmp_path)


def test_a_card_without_probe_checks_nothing(tokenizer: Tokenizer, tmp_path: Path) -> None:
    check_probe(Card(), tokenizer, tmp_path)
