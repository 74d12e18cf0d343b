"""A configuration is complete, or says at once all that is wrong with it."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, asdict, replace
from typing import Any

import pytest
from jaxtyping import config as jaxtyping_config

from zhixing.errors import ConfigError
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import build

SMALL: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 8,
    "encoder_layers": 1,
    "num_heads": 2,
    "feed_forward_size": 12,
}


@pytest.fixture
def unchecked_types() -> Iterator[None]:
    """Let settings of the wrong type through to the library's own check, as a file's would be."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


def test_a_configuration_survives_being_written() -> None:
    config = ModelConfig(**SMALL, positions="rotary", max_positions=None, classifier_dropout=0.3)
    assert ModelConfig.from_dict(asdict(config)) == config


def test_a_configuration_is_a_value() -> None:
    config = ModelConfig(**SMALL)
    assert config == ModelConfig(**SMALL)
    assert hash(config) == hash(ModelConfig(**SMALL))
    assert config != replace(config, norm="pre")
    with pytest.raises(FrozenInstanceError):
        config.vocab_size = 3  # type: ignore[misc]


def test_unknown_settings_are_named_with_all_that_are_known() -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_dict(SMALL | {"n_embd": 8, "cfg": 1})
    message = str(caught.value)
    assert message.startswith("unknown model settings cfg, n_embd; known are activation, ")
    assert "hidden_size" in message


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"vocab_size": 0}, "vocab_size is 0; it has to be at least 1"),
    ({"hidden_size": -8}, "hidden_size is -8; it has to be at least 1"),
    ({"num_heads": 0}, "num_heads is 0; it has to be at least 1"),
    ({"feed_forward_size": 0}, "feed_forward_size is 0; it has to be at least 1"),
    ({"encoder_layers": -1}, "encoder_layers is -1; it has to be at least 0"),
    ({"position_offset": -2}, "position_offset is -2; it has to be at least 0"),
    ({"token_types": -1}, "token_types is -1; it has to be at least 0"),
    (
        {"hidden_size": 100, "num_heads": 12},
        "hidden_size is 100, which num_heads = 12 does not divide; 96 and 108 would fit",
    ),
    (
        {"hidden_size": 4, "num_heads": 12},
        "hidden_size is 4, which num_heads = 12 does not divide; 12 would fit",
    ),
    ({"max_positions": None}, "max_positions is None; learned positions need at least 1"),
    ({"max_positions": 0}, "max_positions is 0; learned positions need at least 1"),
    (
        {"head": "classification"},
        "num_classes is 0; a classification head needs 1 or more",
    ),
    (
        {"activation": "gleu"},
        "activation is 'gleu'; allowed are gelu, gelu_tanh, relu, silu, tanh",
    ),
    (
        {"head_activation": "gleu"},
        "head_activation is 'gleu'; allowed are gelu, gelu_tanh, relu, silu, tanh",
    ),
    (
        {"classifier_activation": "gleu"},
        "classifier_activation is 'gleu'; allowed are None, gelu, gelu_tanh, relu, silu, tanh",
    ),
    ({"norm": "mid"}, "norm is 'mid'; allowed are pre, post"),
    (
        {"positions": "alibi"},
        "positions is 'alibi'; allowed are none, learned, sinusoidal, rotary, relative, linear, "
        "convolution",
    ),
    ({"head": "lm"}, "head is 'lm'; allowed are none, classification, vocabulary"),
    (
        {"num_key_value_heads": 3},
        "num_key_value_heads is 3, which does not divide num_heads = 2; allowed are 1, 2",
    ),
    ({"num_key_value_heads": 0}, "num_key_value_heads is 0; it has to be null or at least 1"),
    ({"rotary_base": 0.5}, "rotary_base is 0.5; it has to be at least 1"),
    ({"rotary_scaling": "yarn"}, "rotary_scaling is 'yarn'; allowed are none, linear, llama3"),
    ({"rotary_scaling_factor": 0.5}, "rotary_scaling_factor is 0.5; it has to be at least 1"),
    ({"rotary_trained_positions": 0}, "rotary_trained_positions is 0; it has to be at least 1"),
    (
        {"rotary_low_factor": 4.0},
        "rotary_low_factor is 4.0; it has to lie above 0 and below rotary_high_factor = 4.0",
    ),
    (
        {"encoder_layers": 0, "decoder_layers": 1, "decoder_vocab_size": 5},
        "decoder_vocab_size is 5, but a decoder alone has one token table; set vocab_size, or",
    ),
    (
        {"encoder_layers": 0, "decoder_layers": 1, "positions": "convolution"},
        "positions is 'convolution', which a decoder cannot read step by step",
    ),
    (
        {"encoder_layers": 0, "decoder_layers": 1, "head": "vocabulary"},
        "head is 'vocabulary'; on a decoder stands 'next_token' or 'none'",
    ),
    ({"pooling": "max"}, "pooling is 'max'; allowed are first, mean"),
    ({"dropout": 1.0}, "dropout is 1.0; it has to be at least 0 and below 1"),
    ({"attention_dropout": -0.1}, "attention_dropout is -0.1; it has to be at least 0 and below"),
    ({"classifier_dropout": 1.5}, "classifier_dropout is 1.5; it has to be at least 0 and below 1"),
    ({"dropout": float("nan")}, "dropout is nan; it has to be at least 0 and below 1"),
    ({"vocab_size": "20"}, "vocab_size is '20'; it has to be a whole number"),
    ({"vocab_size": True}, "vocab_size is True; it has to be a whole number"),
    ({"hidden_size": 8.0}, "hidden_size is 8.0; it has to be a whole number"),
    ({"norm_eps": "small"}, "norm_eps is 'small'; it has to be a number"),
    ({"embedding_norm": 1}, "embedding_norm is 1; it has to be true or false"),
    ({"max_positions": "512"}, "max_positions is '512'; it has to be a whole number or null"),
    ({"classifier_dropout": "no"}, "classifier_dropout is 'no'; it has to be a number or null"),
    ({"dropout": False}, "dropout is False; it has to be a number"),
    ({"activation": 3}, "activation is 3; it has to be a name"),
]


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_a_setting_out_of_range_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_dict(SMALL | changes)
    assert message in str(caught.value)


@pytest.mark.usefixtures("unchecked_types")
def test_several_faults_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        ModelConfig(**SMALL | {"vocab_size": 0, "dropout": 2.0, "norm": "mid"})
    assert str(caught.value) == (
        "vocab_size is 0; it has to be at least 1; norm is 'mid'; allowed are pre, post; "
        "dropout is 2.0; it has to be at least 0 and below 1"
    )


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize(
    "changes",
    [
        {"encoder_layers": 0},
        {"encoder_layers": 0, "decoder_layers": 1, "head": "next_token"},
        {"num_key_value_heads": 1, "rotary_base": 1.0},
        {"dropout": 0},
        {"classifier_dropout": 0.0},
        {"positions": "none", "max_positions": None},
        {"head": "classification", "num_classes": 1},
        {"hidden_size": 2},
        {"max_positions": 1, "position_offset": 2},
    ],
)
def test_the_edge_of_what_is_allowed_builds_a_model(changes: dict[str, Any]) -> None:
    config = ModelConfig(**SMALL | changes)
    assert build(config).config == config
