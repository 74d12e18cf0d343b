"""The position-wise feed-forward network (MLP), gated or not, and its activations."""

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

    Gated, the activation of one product is multiplied by another product. Both come from one
    matrix, the activation's first.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 2 (there with ReLU); gated, Shazeer 2020,
        arXiv:2002.05202, equation 6.
    """

    def __init__(
        self,
        hidden_size: int,
        feed_forward_size: int,
        *,
        activation: str,
        is_gated: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        inside = 2 * feed_forward_size if is_gated else feed_forward_size
        self.expand = nn.Linear(hidden_size, inside, bias=bias)
        self.contract = nn.Linear(feed_forward_size, hidden_size, bias=bias)
        self.activation = activation_named(activation)
        self.is_gated = is_gated

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Give max(0, x W1 + b1) W2 + b2, with the chosen activation for the max."""
        if self.is_gated:
            active, factor = self.expand(x).chunk(2, dim=-1)
            return self.contract(self.activation(active) * factor)
        return self.contract(self.activation(self.expand(x)))
