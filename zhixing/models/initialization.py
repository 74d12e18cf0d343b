"""Weight initialization: fresh weights, drawn by name from a seed."""

import torch
from torch import nn

from zhixing.layers.positions import Convolutional, RelativeBias


def initialize(model: nn.Module, *, std: float, seed: int) -> None:
    """Draw fresh weights: normal with spread `std`, biases zero, norms one.

    The draw depends on the seed and on each parameter's own name, never on what was drawn before:
    a model with one more head has the same body.

    Source:
        Devlin et al. 2019, arXiv:1810.04805, appendix A.2 refers to the released code's
        truncated normal of 0.02; plain normal here, as the reference library has it.
    """
    # Backwards, so that a tied weight keeps the draw of its first name: the token table's, not the
    # vocabulary head's.
    for name, module in reversed(list(model.named_modules())):
        initialize_module(name, module, std=std, seed=seed)


@torch.no_grad()
def initialize_module(name: str, module: nn.Module, *, std: float, seed: int) -> None:
    """Draw one module's own weights, see `initialize`."""
    generator = torch.Generator().manual_seed(_mix(name, seed))
    if isinstance(module, nn.Linear | nn.Embedding | RelativeBias | Convolutional):
        weight = module.weight
        spread = weight.size(-1) ** -0.5 if isinstance(module, Convolutional) else std
        weight.copy_(torch.empty(weight.shape).normal_(std=spread, generator=generator))
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        module.weight.fill_(1.0)
    bias = getattr(module, "bias", None)
    if isinstance(bias, nn.Parameter):
        bias.zero_()


def _mix(name: str, seed: int) -> int:
    """Give a number of 63 bits that follows from a name and a seed (FNV-1a)."""
    number = 0xCBF29CE484222325 ^ (seed & 0xFFFFFFFFFFFFFFFF)
    for byte in name.encode():
        number = (number ^ byte) * 0x100000001B3 % 2**64
    return number >> 1
