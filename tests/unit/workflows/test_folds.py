from pathlib import Path

import pytest

from zhixing.errors import ConfigError, TrainingError
from zhixing.workflows.folds import Spread, cross_validate

TINY = {
    "new.hidden_size": 16,
    "new.encoder_layers": 1,
    "new.num_heads": 2,
    "new.feed_forward_size": 16,
    "max_steps": 1,
}


def test_every_fold_has_a_score(reviews: Path) -> None:
    told: list[object] = []
    spread = cross_validate(
        "classify",
        reviews / "train.csv",
        num_folds=2,
        model="new",
        settings={**TINY, "data.label": "label", "class_weights": "balanced"},
        watch=told.append,
    )
    assert spread.metric == "accuracy" and len(spread.scores) == 2
    assert "fold 1 of 2" in told and "fold 2 of 2" in told


def test_mean_and_deviation_are_told() -> None:
    said = Spread("accuracy", (0.5, 0.7)).sentence()
    assert said == "accuracy 0.6000 ± 0.1414 (standard deviation over folds)"


def test_a_stop_and_a_single_fold_are_refused(reviews: Path) -> None:
    data = reviews / "train.csv"
    with pytest.raises(TrainingError, match="fold 1 was stopped; cross-validation keeps no snap"):
        cross_validate(
            "classify",
            data,
            num_folds=2,
            model="new",
            settings=TINY | {"max_steps": 3},
            should_stop=lambda: True,
        )
    with pytest.raises(ConfigError, match="num_folds is 1"):
        cross_validate("classify", data, num_folds=1, model="new", settings=TINY)
