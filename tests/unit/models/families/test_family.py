import pytest

from zhixing.errors import CheckpointError
from zhixing.models.families.family import (
    ACTIVATION_NAMES,
    THEIR_ACTIVATIONS,
    activation_of,
    num_labels,
    number_of,
)
from zhixing.models.families.known import FAMILIES, family_named


def test_every_activation_we_write_is_read_as_itself() -> None:
    assert all(ACTIVATION_NAMES[theirs] == ours for ours, theirs in THEIR_ACTIVATIONS.items())
    assert set(THEIR_ACTIVATIONS) == set(ACTIVATION_NAMES.values())


@pytest.mark.parametrize("name", ["mish", None, ["gelu"]])
def test_an_unknown_activation_is_told_the_known_ones(name: object) -> None:
    with pytest.raises(CheckpointError) as caught:
        activation_of({"hidden_act": name}, "hidden_act", "gelu")
    assert f"hidden_act is {name!r}; supported are gelu, gelu_new" in str(caught.value)


def test_the_number_of_classes_is_found_where_it_stands() -> None:
    assert num_labels({"id2label": {"0": "a"}, "num_labels": 5}) == 1
    assert num_labels({"label2id": {"a": 0, "b": 1, "c": 2}}) == 3
    assert num_labels({"num_labels": 5}) == 5
    assert num_labels({}) == 2


def test_labels_that_are_none_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"id2label is \['a'\]; it has to be an object"):
        num_labels({"id2label": ["a"]})
    with pytest.raises(CheckpointError, match="num_labels is 'two'; it has to be a whole number"):
        num_labels({"num_labels": "two"})


def test_a_whole_number_is_a_number() -> None:
    assert isinstance(number_of({"a": 1}, "a", 0.5), float)
    assert number_of({}, "a", 0.5) == 0.5
    assert number_of({"a": "x"}, "a", 0.5) == "x"
    assert number_of({"a": True}, "a", 0.5) is True


@pytest.mark.parametrize("name", ["gpt9", None, 5, ["bert"]])
def test_an_unknown_family_is_told_the_known_ones(name: object) -> None:
    with pytest.raises(CheckpointError) as caught:
        family_named(name)
    assert str(caught.value) == f"model_type is {name!r}; supported are {', '.join(FAMILIES)}"
