from dataclasses import replace

import pytest

from zhixing.errors import CheckpointError, ConfigError
from zhixing.models.config import ModelConfig
from zhixing.models.families import bert, own
from zhixing.models.families.known import expresses, written_config

CONFIG = ModelConfig(
    vocab_size=9, hidden_size=8, encoder_layers=1, num_heads=2, feed_forward_size=8, token_types=2
)


def test_every_setting_is_kept() -> None:
    config = replace(CONFIG, positions="rotary", pooling="mean", norm="pre", max_positions=None)
    assert own.read_config(written_config("zhixing", config)) == config
    assert written_config("zhixing", config)["model_type"] == "zhixing"


def test_bad_settings_give_a_sentence() -> None:
    values = written_config("zhixing", CONFIG)["settings"]
    with pytest.raises(CheckpointError, match=r"settings is \[\]; it has to be an object"):
        own.read_config({"settings": []})
    with pytest.raises(CheckpointError, match="settings lacks num_heads, vocab_size; save the mod"):
        kept = {k: v for k, v in values.items() if k not in ("num_heads", "vocab_size")}
        own.read_config({"settings": kept})
    with pytest.raises(ConfigError, match="unknown model settings colour; known are activation"):
        own.read_config({"settings": {**values, "colour": "red"}})
    with pytest.raises(ConfigError, match="max_positions is 'x'; it has to be a whole number or n"):
        own.read_config({"settings": {**values, "max_positions": "x"}})
    with pytest.raises(ConfigError, match="positions is 'round'; allowed are none, learned"):
        own.read_config({"settings": {**values, "positions": "round"}})
    with pytest.raises(ConfigError, match="has_pooler is 'yes'; it has to be true or false"):
        own.read_config({"settings": {**values, "has_pooler": "yes"}})


def test_a_family_expresses_what_it_reads_back() -> None:
    body = bert.read_config(written_config("bert", CONFIG))
    assert expresses("bert", body)
    assert expresses("bert", replace(body, has_pooler=False))
    assert expresses("bert", replace(body, head="classification", num_classes=4))
    assert expresses("zhixing", replace(body, pooling="mean"))


@pytest.mark.parametrize(
    "changes",
    [{"pooling": "mean"}, {"positions": "none"}, {"norm": "pre"}, {"activation": "tanh"}],
)
def test_what_a_family_cannot_say_it_does_not_express(changes: dict[str, object]) -> None:
    body = bert.read_config(written_config("bert", CONFIG))
    assert not expresses("bert", replace(body, **changes))
    assert not expresses("roberta", replace(body, head="classification", num_classes=2))
