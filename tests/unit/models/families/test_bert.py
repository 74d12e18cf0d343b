from typing import Any

import pytest

from zhixing.errors import CheckpointError, ConfigError
from zhixing.models.families import bert
from zhixing.models.families.known import written_config

VALUES: dict[str, Any] = {
    "architectures": ["BertForSequenceClassification"],
    "vocab_size": 30,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "id2label": {"0": "a", "1": "b", "2": "c"},
}


def test_unsaid_settings_are_those_of_the_paper() -> None:
    config = bert.read_config(VALUES)
    assert (config.norm, config.norm_eps, config.activation) == ("post", 1e-12, "gelu")
    assert (config.positions, config.max_positions, config.position_offset) == ("learned", 512, 0)
    assert (config.token_types, config.dropout, config.num_classes) == (2, 0.1, 3)
    assert config.has_pooler and config.classifier_activation is None


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertForPreTraining"])
def test_a_vocabulary_head_reads_no_pooler(architecture: str) -> None:
    config = bert.read_config({**VALUES, "architectures": [architecture]})
    assert config.head == "vocabulary" and not config.has_pooler and config.num_classes == 0


@pytest.mark.parametrize("named", [["BertForQuestionAnswering"], [], None])
def test_an_unknown_architecture_gives_its_body(named: list[str] | None) -> None:
    assert bert.read_config({**VALUES, "architectures": named}).head == "none"


@pytest.mark.parametrize("key", ["vocab_size", "hidden_size", "num_hidden_layers"])
def test_a_size_that_is_absent_is_named(key: str) -> None:
    with pytest.raises(CheckpointError, match=f"there is no {key}; this model cannot be built"):
        bert.read_config({**VALUES, key: None})


def test_every_bad_value_is_named_at_once() -> None:
    bad = {"vocab_size": "30", "hidden_dropout_prob": None, "num_attention_heads": True}
    with pytest.raises(ConfigError) as caught:
        bert.read_config({**VALUES, **bad})
    assert str(caught.value) == (
        "vocab_size is '30'; it has to be a whole number; num_heads is True; it has to be a whole "
        "number; dropout is None; it has to be a number"
    )


def test_relative_positions_and_decoders_are_refused() -> None:
    with pytest.raises(CheckpointError, match="is 'relative_key' and is_decoder is False; supp"):
        bert.read_config({**VALUES, "position_embedding_type": "relative_key"})
    with pytest.raises(CheckpointError, match="is 'absolute' and is_decoder is True; supported"):
        bert.read_config({**VALUES, "is_decoder": True})


def test_what_is_written_is_read_back() -> None:
    config = bert.read_config({**VALUES, "hidden_act": "gelu_new", "classifier_dropout": 0.3})
    assert config.activation == "gelu_tanh" and config.classifier_dropout == 0.3
    assert bert.read_config({**written_config("bert", config), "num_labels": 3}) == config
