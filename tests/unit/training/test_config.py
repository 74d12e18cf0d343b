from dataclasses import replace
from typing import Any

import pytest

from zhixing.errors import ConfigError
from zhixing.training.config import TrainingConfig


def test_the_defaults_are_allowed_and_hashable() -> None:
    assert TrainingConfig() == TrainingConfig()
    assert hash(TrainingConfig()) == hash(TrainingConfig())


@pytest.mark.parametrize(
    "name",
    [
        "max_steps",
        "lora_rank",
        "freeze_layers",
        "patience",
        "snapshot_steps",
        "seed",
        "evaluations_per_epoch",
    ],
)
def test_counts_are_not_negative(name: str) -> None:
    values: dict[str, Any] = {name: -1}
    with pytest.raises(ConfigError, match=f"{name} is -1; it has to be at least 0"):
        TrainingConfig(**values)


@pytest.mark.parametrize("name", ["micro_tokens", "max_windows", "keep_snapshots"])
def test_some_counts_are_at_least_one(name: str) -> None:
    values: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigError, match=f"{name} is 0; it has to be at least 1"):
        TrainingConfig(**values)


@pytest.mark.parametrize(
    ("name", "value", "bounds"),
    [
        ("epochs", 0.0, "1e-06 and 1e+06"),
        ("learning_rate", 11.0, "1e-12 and 10"),
        ("learning_rate", float("nan"), "1e-12 and 10"),
        ("warmup_ratio", 1.5, "0 and 1"),
        ("layer_rate_decay", 0.0, "0.001 and 1"),
        ("head_rate_factor", 0.0, "0.001 and 1000"),
        ("weight_decay", -0.1, "0 and 10"),
        ("beta1", 1.0, "0 and 0.99999"),
        ("beta2", 1.0, "0 and 1"),
        ("epsilon", 0.0, "1e-16 and 1"),
        ("max_grad_norm", -1.0, "0 and 1e+09"),
        ("dropout", 1.0, "0 and 0.99"),
        ("attention_dropout", 1.0, "0 and 0.99"),
        ("label_smoothing", 1.0, "0 and 0.99"),
        ("lora_alpha", 0.0, "1e-06 and 1e+06"),
        ("snapshot_minutes", float("inf"), "0 and 1e+06"),
    ],
)
def test_a_number_outside_its_range_is_told_with_the_range(
    name: str, value: float, bounds: str
) -> None:
    values: dict[str, Any] = {name: value}
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(**values)
    assert str(caught.value) == f"{name} is {value}; it has to lie between {bounds}"


@pytest.mark.parametrize(("rows", "tokens"), [(0, 0), (16, 512)])
def test_a_step_has_rows_or_tokens_and_not_both(rows: int, tokens: int) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(batch_size=rows, batch_tokens=tokens)
    assert str(caught.value) == (
        f"batch_size is {rows} and batch_tokens is {tokens}; set exactly one of them above 0, "
        f"for instance batch_size=0 batch_tokens=1024"
    )


def test_a_word_that_is_no_choice_is_told_with_the_choices() -> None:
    config = TrainingConfig()
    # The type checker that runs in tests would refuse them earlier, in its own words.
    object.__setattr__(config, "schedule", "step")
    object.__setattr__(config, "precision", "int8")
    with pytest.raises(ConfigError) as caught:
        config.__post_init__()
    assert str(caught.value) == (
        "schedule is 'step'; allowed are linear, cosine, constant, inverse_sqrt; "
        "precision is 'int8'; allowed are auto, float32, bfloat16, float16"
    )


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(TrainingConfig(), seed=-1, learning_rate=0.0, batch_size=0)
    assert all(name in str(caught.value) for name in ("seed is", "rate is", "batch_size is"))


def test_a_dropout_of_none_leaves_the_models_own() -> None:
    assert TrainingConfig(dropout=None).dropout is None
