from typing import Any

import pytest

from zhixing.errors import CheckpointError, ConfigError
from zhixing.models.families import distilbert
from zhixing.models.families.known import written_config

VALUES: dict[str, Any] = {
    "architectures": ["DistilBertForSequenceClassification"],
    "vocab_size": 30,
    "dim": 8,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dim": 16,
}


def test_a_classifier_has_a_dense_layer_of_its_own() -> None:
    config = distilbert.read_config(VALUES)
    assert (config.classifier_activation, config.classifier_dropout) == ("relu", 0.2)
    assert config.token_types == 0 and not config.has_pooler and config.num_classes == 2


def test_what_is_written_is_read_back() -> None:
    config = distilbert.read_config({**VALUES, "seq_classif_dropout": 0.4, "activation": "relu"})
    assert distilbert.read_config(written_config("distilbert", config)) == config
    body = distilbert.read_config({**VALUES, "architectures": ["DistilBertModel"]})
    assert distilbert.read_config(written_config("distilbert", body)) == body
    assert "seq_classif_dropout" not in written_config("distilbert", body)


def test_bad_values_give_a_sentence() -> None:
    with pytest.raises(CheckpointError, match="activation is 'mish'; supported are gelu, gelu_new"):
        distilbert.read_config({**VALUES, "activation": "mish"})
    with pytest.raises(CheckpointError, match="there is no dim; this model cannot be built"):
        distilbert.read_config({**VALUES, "dim": None})
    with pytest.raises(ConfigError, match="classifier_dropout is 2.0; it has to be at least 0"):
        distilbert.read_config({**VALUES, "seq_classif_dropout": 2})
