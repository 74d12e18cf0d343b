from pathlib import Path

import pytest

from zhixing.errors import CheckpointError, ConfigError
from zhixing.workflows.load import load


def test_a_folder_becomes_a_pipeline(trained: Path) -> None:
    model = load(trained)
    assert model.labels == ("negative", "positive") and str(model.device) == "cpu"


def test_what_cannot_be_loaded_is_refused(trained: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere is neither a model folder nor a built-in"):
        load("nowhere")
    with pytest.raises(ConfigError, match="threads is -2"):
        load(trained, threads=-2)
    with pytest.raises(ConfigError, match="device is 'tpu'"):
        load(trained, device="tpu")
