"""The position-wise feed-forward network."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from zhixing.errors import ConfigError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": lambda x: x.tanh(),
}


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """Give the function of an activation's name.

    Source:
        "gelu" is x * Phi(x), Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2; "gelu_tanh" is
        the approximation given there, which differs by up to 5e-4 and is another activation.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation is {name!r}; allowed are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class FeedForward(nn.Module):
    """Expand every position, apply the activation, contract; no position sees another.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 2 (there with ReLU).
    """

    def __init__(self, hidden_size: int, feed_forward_size: int, *, activation: str) -> None:
        super().__init__()
        self.expand = nn.Linear(hidden_size, feed_forward_size)
        self.contract = nn.Linear(feed_forward_size, hidden_size)
        self.activation = activation_named(activation)

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Give max(0, x W1 + b1) W2 + b2, with the chosen activation for the max."""
        return self.contract(self.activation(self.expand(x)))
