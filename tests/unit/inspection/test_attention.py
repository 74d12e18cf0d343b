from pathlib import Path

import pytest
import torch

from zhixing.data.table import unlabelled_table
from zhixing.errors import ConfigError
from zhixing.inspection.attention import attention_of, rollout
from zhixing.layers.recorder import recording
from zhixing.workflows.load import load


def test_every_row_of_attention_sums_to_one(trained: Path) -> None:
    model = load(trained)
    example = model.task.encode(unlabelled_table(["a good film"], None))[0]
    layers = attention_of(model.model, example)
    assert [tuple(layer.shape) for layer in layers] == [(2, 5, 5)]
    assert torch.allclose(layers[0].sum(-1), torch.ones(2, 5), atol=1e-5)


def test_rollout_counts_the_residual_as_a_half() -> None:
    swap = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    assert torch.equal(rollout([swap]), torch.full((2, 2), 0.5))
    still = torch.eye(2).unsqueeze(0)
    assert torch.equal(rollout([still, still]), torch.eye(2))


def test_watching_changes_no_answer_and_leaves_no_hook(trained: Path) -> None:
    model = load(trained)
    before = model("a good film").score
    with recording(model.model.encoder, "attention.weights") as found:
        assert model("a good film").score == pytest.approx(before, abs=1e-6)
    assert all(len(tensors) == 1 for tensors in found.values()) and found
    model("a good film")
    assert all(len(tensors) == 1 for tensors in found.values())


def test_an_unknown_tap_is_refused_with_those_there_are(trained: Path) -> None:
    with (
        pytest.raises(ConfigError, match="no tap is named 'nothing'; there are .*weights"),
        recording(load(trained).model.encoder, "nothing"),
    ):
        pass
