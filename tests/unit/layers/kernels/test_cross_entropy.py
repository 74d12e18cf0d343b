"""The loss in parts equals the textbook's, and so do its gradients."""

import pytest
import torch
from torch import Tensor

from zhixing.layers.kernels.cross_entropy import (
    ROWS_AT_ONCE,
    vocabulary_loss,
    vocabulary_loss_plainly,
)


def _parts(count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    states, weight = (
        torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (count, 11)
    )
    bias = torch.randn(11, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 11, (count,), generator=generator)
    return states, weight, bias, targets


@pytest.mark.parametrize("count", [1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE + 5])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_loss_and_gradients_are_those_of_the_textbook(
    count: int, smoothing: float, has_bias: bool, is_weighted: bool
) -> None:
    states, weight, bias, targets = _parts(count)
    learned = [states, weight, *([bias] if has_bias else [])]
    for x in learned:
        x.requires_grad_()
    shares = torch.linspace(0.0, 2.0, count, dtype=torch.float64) if is_weighted else None
    found, expected = (
        function(
            states,
            weight,
            bias if has_bias else None,
            targets,
            row_weights=shares,
            smoothing=smoothing,
        )
        for function in (vocabulary_loss, vocabulary_loss_plainly)
    )
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)
    for one, other in zip(
        torch.autograd.grad(3.0 * found, learned),
        torch.autograd.grad(3.0 * expected, learned),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


def test_without_gradients_the_loss_is_the_same() -> None:
    states, weight, bias, targets = _parts(2050)
    shares = torch.linspace(0.0, 2.0, 2050, dtype=torch.float64)
    for row_weights in (None, shares):
        found, expected = (
            function(states, weight, bias, targets, row_weights=row_weights, smoothing=0.1)
            for function in (vocabulary_loss, vocabulary_loss_plainly)
        )
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-12)
