"""LoRA: low-rank adapters, put onto a model that is already built."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from zhixing.errors import ConfigError


class LowRankLinear(nn.Module):
    """Add a trainable product of two thin matrices to a linear layer that stays as it is.

    Source:
        Hu et al. 2021, "LoRA", arXiv:2106.09685, equation 3: W x + (alpha / r) B A x, where B
        begins at zero, so that nothing is changed at first.
    """

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.up = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Give the layer's result with the adapter's added."""
        small = functional.linear(functional.linear(x, self.down), self.up)
        return self.base(x) + small * self.scale

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Give one plain layer that computes the same."""
        self.base.weight += self.up @ self.down * self.scale
        return self.base


def add_adapters(body: nn.Module, *, rank: int, alpha: float, seed: int) -> int:
    """Freeze a body and put an adapter on each of its linear layers.

    Returns:
        How many layers were given one.

    Raises:
        ConfigError: If the rank is not between 1 and the narrowest layer's width.
    """
    places = [
        (parent, name, child)
        for parent in body.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and not isinstance(parent, LowRankLinear)
    ]
    narrowest = min((min(c.in_features, c.out_features) for _, _, c in places), default=0)
    if not 1 <= rank <= narrowest:
        raise ConfigError(f"lora_rank is {rank}; for this model it lies between 1 and {narrowest}")
    body.requires_grad_(False)
    for number, (parent, name, child) in enumerate(places):
        adapted = LowRankLinear(child, rank=rank, alpha=alpha)
        generator = torch.Generator().manual_seed((seed << 16) + number)
        drawn = torch.empty(adapted.down.shape).normal_(
            std=1 / math.sqrt(child.in_features), generator=generator
        )
        with torch.no_grad():
            adapted.down.copy_(drawn)
        setattr(parent, name, adapted)
    return len(places)


def merge_adapters(model: nn.Module) -> None:
    """Put every adapter's product into its layer's weight; the model is plain again."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LowRankLinear):
                setattr(parent, name, child.merged())
