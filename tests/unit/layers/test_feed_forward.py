"""The feed-forward network is two products with an activation between them."""

import math

import pytest
import torch

from zhixing.errors import ConfigError
from zhixing.layers.feed_forward import ACTIVATIONS, FeedForward, activation_named


def test_the_network_equals_the_paper_by_hand() -> None:
    network = FeedForward(2, 3, activation="relu")
    with torch.no_grad():
        network.expand.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
        network.expand.bias.copy_(torch.tensor([0.0, -5.0, 1.0]))
        network.contract.weight.copy_(torch.tensor([[1.0, 1.0, 2.0], [0.0, 1.0, -1.0]]))
        network.contract.bias.copy_(torch.tensor([0.5, 0.0]))
    # max(0, (2, 3 - 5, 2 + 3 + 1)) = (2, 0, 6); 2 + 12 + 0.5 and -6.
    assert network(torch.tensor([[2.0, 3.0]])).tolist() == [[14.5, -6.0]]


def test_no_position_sees_another() -> None:
    network = FeedForward(4, 8, activation="gelu").double()
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[2].sum(), x)
    touched = [i for i in range(5) if gradient[i].abs().max() > 0]
    assert touched == [2]


VALUES = {
    "gelu": 0.5 * 1.5 * (1 + math.erf(1.5 / math.sqrt(2))),
    "gelu_tanh": 0.75 * (1 + math.tanh(math.sqrt(2 / math.pi) * (1.5 + 0.044715 * 1.5**3))),
    "relu": 1.5,
    "silu": 1.5 / (1 + math.exp(-1.5)),
    "tanh": math.tanh(1.5),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_is_its_formula(name: str) -> None:
    found = activation_named(name)(torch.tensor(1.5, dtype=torch.float64))
    assert found.item() == pytest.approx(VALUES[name], abs=1e-12)


def test_the_two_kinds_of_gelu_differ_by_no_more_than_their_docstring_says() -> None:
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    difference = (activation_named("gelu")(x) - activation_named("gelu_tanh")(x)).abs().max()
    assert 4e-4 < difference < 5e-4


def test_an_unknown_activation_is_refused() -> None:
    message = "activation is 'gleu'; allowed are gelu, gelu_tanh, relu, silu, tanh"
    with pytest.raises(ConfigError, match=message):
        activation_named("gleu")
    with pytest.raises(ConfigError, match=message):
        FeedForward(2, 4, activation="gleu")
