"""Recomputing keeps less and changes nothing, dropout included."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zhixing.layers.dropout import Noise, drop
from zhixing.layers.ragged import Ragged
from zhixing.models.checkpointing import recomputed
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build

IDS = Ragged(torch.tensor([1, 2, 3, 4, 5, 6, 7]), (3, 4))


def _model(**changes: object) -> Transformer:
    settings: dict[str, object] = {
        "vocab_size": 20,
        "hidden_size": 8,
        "encoder_layers": 3,
        "num_heads": 2,
        "feed_forward_size": 12,
        "max_positions": 6,
        "head": "classification",
        "num_classes": 3,
        "dropout": 0.2,
        "attention_dropout": 0.2,
        "initial_std": 0.3,
    }
    return build(ModelConfig(**settings | changes)).double()


def _gradients(
    model: Transformer, noise: Noise | None, *, gradient_checkpointing: bool
) -> list[Tensor]:
    model.zero_grad()
    model.classify(
        IDS, noise=noise, gradient_checkpointing=gradient_checkpointing
    ).square().sum().backward()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    assert len(found) == len(list(model.parameters()))
    return found


@pytest.mark.parametrize("positions", ["learned", "rotary", "relative"])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("noise", [None, Noise(("run", 3))])
def test_gradients_are_equal_with_and_without(
    noise: Noise | None, norm: str, positions: str
) -> None:
    model = _model(norm=norm, positions=positions)
    kept = _gradients(model, noise, gradient_checkpointing=False)
    again = _gradients(model, noise, gradient_checkpointing=True)
    assert max(gradient.abs().max() for gradient in kept) > 0
    for one, other in zip(kept, again, strict=True):
        assert torch.equal(one, other)


def test_dropout_really_falls_while_recomputing() -> None:
    model = _model()
    first, other = (_gradients(model, Noise((i,)), gradient_checkpointing=True) for i in (1, 2))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def _counted(calls: list[int]) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        calls.append(1)
        return drop(x.exp(), 0.5, Noise(("place",))).sin()

    return function


def test_the_function_runs_once_more_for_the_gradient_and_no_more() -> None:
    calls: list[int] = []
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    result = recomputed(_counted(calls), x)
    assert len(calls) == 1
    (gradient,) = torch.autograd.grad(result.sum(), x)
    assert len(calls) == 2
    assert torch.equal(gradient, torch.autograd.grad(_counted([])(x).sum(), x)[0])


def test_without_a_gradient_nothing_runs_twice() -> None:
    calls: list[int] = []
    with torch.no_grad():
        recomputed(_counted(calls), torch.ones(4, 3))
    assert len(calls) == 1


def test_inner_values_are_forgotten() -> None:
    kept: list[int] = []

    def count(values: Tensor) -> Tensor:
        kept.append(values.numel())
        return values

    def total(*, gradient_checkpointing: bool) -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda values: values):
            model(IDS, gradient_checkpointing=gradient_checkpointing)
        return sum(kept)

    model = _model()
    assert total(gradient_checkpointing=True) < total(gradient_checkpointing=False) / 3
