from dataclasses import replace

import pytest
import torch
from torch import Tensor

from zhixing.errors import CheckpointError
from zhixing.models.config import HeadKind, ModelConfig
from zhixing.models.families.known import FAMILIES, written_config
from zhixing.models.transformer import build
from zhixing.models.weight_names import (
    Plain,
    Stacked,
    WeightNames,
    dense,
    norm,
    read_weights,
    stacked,
    write_weights,
)

SIZES = ModelConfig(
    vocab_size=11,
    hidden_size=8,
    encoder_layers=3,
    num_heads=2,
    feed_forward_size=12,
    max_positions=9,
    position_offset=2,
    token_types=2,
)
NAMES = WeightNames(
    {
        **norm("norm", "body.LayerNorm"),
        **stacked("blocks.{i}.both", ["body.{i}.left", "body.{i}.right"]),
        "head.bias": Plain("cls.bias"),
    },
    prefixes=("model.", "old."),
    body=("body.",),
    tied={"cls.weight": "body.LayerNorm.weight"},
    ignored=("body.position_ids",),
    heads=("cls.", "qa."),
)


def of_family(model_type: str, head: HeadKind) -> ModelConfig:
    """Give a configuration that this family itself would read."""
    writes = "next_token" in FAMILIES[model_type].ARCHITECTURES.values()
    sizes = replace(SIZES, decoder_layers=2, token_types=0) if writes else SIZES
    config = replace(sizes, head=head, num_classes=3 if head == "classification" else 0)
    if model_type == "zhixing":
        return config
    labels = {"id2label": {str(i): f"{i}" for i in range(3)}}
    return FAMILIES[model_type].read_config({**written_config(model_type, config), **labels})


def heads_of(model_type: str) -> list[HeadKind]:
    known = sorted(set(FAMILIES[model_type].ARCHITECTURES.values()))
    return known or ["none", "classification", "vocabulary"]


@pytest.mark.parametrize(
    ("model_type", "head"), [(name, head) for name in FAMILIES for head in heads_of(name)]
)
def test_reading_what_was_written_gives_every_weight_back(model_type: str, head: HeadKind) -> None:
    config = of_family(model_type, head)
    ours = {name: torch.randn_like(p) for name, p in build(config).named_parameters()}
    names = FAMILIES[model_type].weight_names(config)
    names = names.expanded(config.encoder_layers, config.decoder_layers)
    assert names.entries.keys() == ours.keys()
    theirs = write_weights(names, ours)
    assert len(theirs) >= len(ours)
    assert sum(t.numel() for t in theirs.values()) == sum(t.numel() for t in ours.values())
    reading = read_weights(names, theirs)
    assert reading.missing == reading.unknown == reading.left_out == ()
    assert reading.weights.keys() == ours.keys()
    assert all(torch.equal(reading.weights[name], ours[name]) for name in ours)
    again = write_weights(names, reading.weights)
    assert again.keys() == theirs.keys()
    assert all(torch.equal(again[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("model_type", list(FAMILIES))
def test_no_two_of_our_weights_have_one_name_of_theirs(model_type: str) -> None:
    config = of_family(model_type, heads_of(model_type)[-1])
    entries = FAMILIES[model_type].weight_names(config).expanded(3, 2).entries.values()
    named = [
        name
        for entry in entries
        for name in (
            entry.names
            if isinstance(entry, Stacked)
            else (entry.name, *(entry.others if isinstance(entry, Plain) else ()))
        )
    ]
    assert len(named) == len(set(named))


def given() -> dict[str, Tensor]:
    return {
        "model.body.LayerNorm.weight": torch.tensor([1.0]),
        "model.body.LayerNorm.bias": torch.tensor([2.0]),
        "model.body.0.left.weight": torch.tensor([3.0]),
        "model.body.0.right.weight": torch.tensor([4.0]),
        "model.body.0.left.bias": torch.tensor([5.0]),
        "model.body.0.right.bias": torch.tensor([6.0]),
        "cls.bias": torch.tensor([7.0]),
    }


def test_layers_are_written_out_on_both_sides() -> None:
    entries = NAMES.expanded(2).entries
    assert entries["blocks.1.both.bias"] == Stacked(("body.1.left.bias", "body.1.right.bias"))
    assert entries["head.bias"] == Plain("cls.bias")
    assert len(entries) == 2 + 2 * 2 + 1


def test_stacked_weights_are_laid_one_after_the_other() -> None:
    names = NAMES.expanded(1)
    reading = read_weights(names, given())
    assert reading.weights["blocks.0.both.weight"].tolist() == [3.0, 4.0]
    assert {n: t.tolist() for n, t in write_weights(names, reading.weights).items()} == {
        n: t.tolist() for n, t in given().items()
    }


def test_either_prefix_or_none_is_read_and_the_first_is_written() -> None:
    names = NAMES.expanded(1)
    for prefix in ("old.", ""):
        theirs = {name.replace("model.", prefix): t for name, t in given().items()}
        reading = read_weights(names, theirs)
        assert reading.missing == reading.unknown == ()
        assert write_weights(names, reading.weights).keys() == given().keys()


def test_old_names_are_read_and_never_written() -> None:
    theirs = {n.replace("Norm.weight", "Norm.gamma"): t for n, t in given().items()}
    theirs = {n.replace("Norm.bias", "Norm.beta"): t for n, t in theirs.items()}
    reading = read_weights(NAMES.expanded(1), theirs)
    assert reading.weights["norm.weight"].item() == 1 and reading.weights["norm.bias"].item() == 2
    assert write_weights(NAMES.expanded(1), reading.weights).keys() == given().keys()


def test_an_old_name_beside_the_new_one_is_left_over() -> None:
    theirs = given() | {"model.body.LayerNorm.gamma": torch.tensor([9.0])}
    assert read_weights(NAMES.expanded(1), theirs).unknown == ("model.body.LayerNorm.gamma",)


def test_everything_left_over_is_named_on_both_sides() -> None:
    theirs = given()
    del theirs["model.body.0.right.weight"], theirs["cls.bias"]
    theirs |= {name: torch.ones(1) for name in ("model.body.7.x", "extra", "qa.weight")}
    theirs["old.body.position_ids"] = torch.arange(3)
    reading = read_weights(NAMES.expanded(1), theirs)
    assert reading.missing == ("blocks.0.both.weight", "head.bias")
    assert reading.unknown == ("model.body.7.x", "extra")
    assert reading.left_out == ("qa.weight",)


def test_a_copy_that_repeats_its_source_is_accepted_and_not_loaded() -> None:
    theirs = given() | {"cls.weight": torch.tensor([1.0])}
    reading = read_weights(NAMES.expanded(1), theirs)
    assert reading.unknown == reading.left_out == ()
    assert len(reading.weights) == 5


def test_a_copy_that_differs_from_its_source_is_refused() -> None:
    theirs = given() | {"cls.weight": torch.tensor([1.5])}
    with pytest.raises(
        CheckpointError, match=r"cls\.weight should repeat body\.LayerNorm\.weight but differs"
    ):
        read_weights(NAMES.expanded(1), theirs)


def test_one_weight_under_two_prefixes_is_refused() -> None:
    theirs = given() | {"body.0.left.bias": torch.tensor([0.0])}
    with pytest.raises(
        CheckpointError,
        match=r"model\.body\.0\.left\.bias and body\.0\.left\.bias are the same weight",
    ):
        read_weights(NAMES.expanded(1), theirs)


def test_a_dense_layer_has_a_weight_and_a_bias() -> None:
    assert dense("a", "b") == {"a.weight": Plain("b.weight"), "a.bias": Plain("b.bias")}
