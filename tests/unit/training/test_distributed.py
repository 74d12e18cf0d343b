import socket

import pytest
import torch

from zhixing.training.distributed import Ranks, joined_ranks


@pytest.fixture
def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_ranks_share_the_rows_of_a_step_without_overlap() -> None:
    rows = [9, 4, 7, 1, 3]
    shares = [Ranks(rank=rank, world=3).share(rows) for rank in range(3)]
    assert shares == [[9, 1], [4, 3], [7]]


def test_a_small_step_leaves_a_rank_without_rows() -> None:
    assert Ranks(rank=1, world=2).share([5]) == []


def test_one_process_alone_agrees_with_itself() -> None:
    ranks = Ranks()
    parameter = torch.nn.Parameter(torch.ones(2))
    assert ranks.is_first
    assert ranks.summed([1.5, 2.0]) == [1.5, 2.0]
    assert ranks.agreed(0.25) == 0.25
    ranks.sum_gradients([parameter])
    ranks.wait()
    assert parameter.grad is None


def test_only_the_first_rank_writes() -> None:
    assert not Ranks(rank=1, world=2).is_first


def test_without_torchrun_there_is_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with joined_ranks() as ranks:
        assert ranks == Ranks()


def test_a_group_of_one_computes_what_one_process_does(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    values = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    for name, value in {**values, "MASTER_PORT": str(free_port)}.items():
        monkeypatch.setenv(name, value)
    with joined_ranks() as ranks:
        assert (ranks.rank, ranks.world, ranks.local) == (0, 1, 0)
        # A world of two that holds one process: every message comes back as it was sent.
        pair = Ranks(0, 2, 0)
        parameters = [torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(3))]
        frozen = torch.nn.Parameter(torch.ones(1), requires_grad=False)
        parameters[0].grad = torch.arange(4.0).view(2, 2)
        pair.sum_gradients([*parameters, frozen])
        pair.wait()
        assert parameters[0].grad.tolist() == [[0.0, 1.0], [2.0, 3.0]]
        assert parameters[1].grad is not None and parameters[1].grad.tolist() == [0.0] * 3
        assert frozen.grad is None
        assert pair.summed([1.0, 2.0]) == [1.0, 2.0]
        assert pair.agreed(3.5) == 3.5
    assert not torch.distributed.is_initialized()
