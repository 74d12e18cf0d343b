"""Data-parallel training (as DDP) under torchrun: all-reduce of gradients between ranks."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """The rank of this process and the world size.

    `local` is the number on this machine, which chooses the device.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Tell whether this process writes files and talks to the person."""
        return self.rank == 0

    def share(self, rows: Sequence[int]) -> list[int]:
        """Give this rank's rows of a step; a small step may leave a rank none."""
        return list(rows[self.rank :: self.world])

    def summed(self, values: Sequence[float]) -> list[float]:
        """Sum numbers over all ranks (all-reduce)."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(tensor)
        return tensor.tolist()

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients over all ranks, in one all-reduce.

        Every loss was divided by the targets of the whole step before, so that the sum is what
        one process would have computed.
        """
        if self.world == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([_grad(p).flatten() for p in trained])
        distributed.all_reduce(flat)
        for parameter, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            _grad(parameter).copy_(part.view_as(parameter))

    def agreed(self, value: float) -> float:
        """Give every rank the first one's number (broadcast)."""
        if self.world == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(tensor, 0)
        return float(tensor[0])

    def wait(self) -> None:
        """Wait until every rank has come here (barrier)."""
        if self.world > 1:
            distributed.barrier()


def _grad(parameter: torch.nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """Join the process group that torchrun has set up; one process alone where it has not."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield Ranks()
        return
    # gloo moves numbers that all ranks agree on and CPU gradients; CUDA gradients go by nccl.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend)
    try:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), local)
    finally:
        distributed.destroy_process_group()
