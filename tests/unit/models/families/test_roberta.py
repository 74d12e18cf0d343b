from typing import Any

import pytest

from zhixing.errors import CheckpointError, ConfigError
from zhixing.models.config import HeadKind
from zhixing.models.families import roberta, xlm_roberta
from zhixing.models.families.known import written_config

VALUES: dict[str, Any] = {
    "vocab_size": 30,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 514,
}


@pytest.mark.parametrize(
    ("architecture", "head"),
    [
        ("RobertaForSequenceClassification", "classification"),
        ("XLMRobertaForSequenceClassification", "classification"),
        ("RobertaForMaskedLM", "vocabulary"),
        ("RobertaForPreTraining", "vocabulary"),
        ("XLMRobertaForMaskedLM", "vocabulary"),
        ("XLMRobertaModel", "none"),
    ],
)
def test_the_architecture_tells_the_head(architecture: str, head: HeadKind) -> None:
    config = roberta.read_config({**VALUES, "architectures": [architecture]})
    assert config.head == head
    assert config.has_pooler == (head == "none")
    assert config.classifier_activation == ("tanh" if head == "classification" else None)


@pytest.mark.parametrize(("padding", "offset"), [(0, 1), (1, 2), (4, 5)])
def test_positions_are_counted_from_behind_the_padding_id(padding: int, offset: int) -> None:
    config = roberta.read_config({**VALUES, "pad_token_id": padding})
    assert (config.position_offset, config.max_positions) == (offset, 514 - offset)
    assert written_config("roberta", config)["pad_token_id"] == padding
    assert written_config("roberta", config)["max_position_embeddings"] == 514


@pytest.mark.parametrize("padding", [None, -1, "1", True])
def test_a_padding_id_that_is_no_count_is_refused(padding: object) -> None:
    with pytest.raises(CheckpointError, match=f"pad_token_id is {padding!r}; positions are counte"):
        roberta.read_config({**VALUES, "pad_token_id": padding})


def test_fewer_positions_than_the_offset_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_positions is 0; learned positions need at least 1"):
        roberta.read_config({**VALUES, "max_position_embeddings": 2})


def test_the_family_writes_its_own_names() -> None:
    config = roberta.read_config({**VALUES, "architectures": ["RobertaForMaskedLM"]})
    assert written_config("roberta", config)["architectures"] == ["RobertaForMaskedLM"]
    written = written_config("xlm-roberta", config)
    assert written["architectures"] == ["XLMRobertaForMaskedLM"]
    assert written["model_type"] == "xlm-roberta"
    assert xlm_roberta.read_config(written) == config
