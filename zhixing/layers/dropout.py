"""Dropout whose mask is a function of where it is asked for, not of what was drawn before."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """Name one place in a run; every name gives its own, always equal, random numbers.

    A model draws nothing from a global generator. Whoever trains it passes a `Noise` named after
    (run seed, step, micro-batch), each part asks for `noise.at("its own place")`, and the mask
    follows from the whole name: computing it again, for gradient checkpointing or after a resumed
    run, gives the same one. `None` in place of a `Noise` means no dropout.
    """

    names: tuple[int | str, ...]

    def at(self, *names: int | str) -> "Noise":
        """Name a place inside this one."""
        return Noise(self.names + names)

    def seed(self) -> int:
        """Give the number that this name stands for, 63 bits of its SHA-256."""
        digest = hashlib.sha256(repr(self.names).encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


class Dropout(NamedTuple):
    """Dropout at one place: which share of the values, and whose random numbers."""

    rate: float
    noise: Noise


def drop(x: Float[Tensor, "..."], rate: float, noise: Noise) -> Float[Tensor, "..."]:
    """Set a share of the values to zero and scale the others so that the mean stays.

    The rate is rounded to a multiple of 2^-16: four decisions are cut from each 64-bit number,
    which makes the random numbers cheap enough to disappear beside the matrix products.

    The noise names this place; the rate lies below 1.

    Source:
        Srivastava et al. 2014, "Dropout", section 10 (inverted scaling).
    """
    if rate == 0.0:
        return x
    generator = torch.Generator(x.device).manual_seed(noise.seed())
    numbers = torch.empty((x.numel() + 3) // 4, dtype=torch.int64, device=x.device)
    numbers.random_(-(2**63), None, generator=generator)
    # A rate that rounds to one would keep nothing, and scale that by infinity.
    dropped = min(round(rate * 65536), 65535)
    keep = numbers.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - 32768
    share = 1.0 - dropped / 65536
    return x * (keep.to(x.dtype) / share)
