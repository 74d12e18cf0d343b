from pathlib import Path

import pytest
import torch
from torch import Tensor

from zhixing.errors import CheckpointError
from zhixing.training.snapshot import (
    LoopState,
    Snapshots,
    differences,
    machine_facts,
    moments_of,
    read_snapshot,
    restore_moments,
)

FILES = [
    "model.safetensors",
    "optimizer.safetensors",
    "mean.safetensors",
    "state.json",
    "sha256.json",
]


def write(snapshots: Snapshots, step: int) -> Path:
    """Write a snapshot whose weights tell its step."""
    state = LoopState(step=step, epoch=1, batch=2, best=0.5, first_loss=0.1 + 0.2)
    weights, moments = {"a": torch.full((3,), float(step))}, {"a|step": torch.ones(1)}
    return snapshots.write(state, weights, moments, {"a": torch.full((3,), 0.5)})


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_what_was_written_is_read_back_to_the_last_bit(tmp_path: Path) -> None:
    path = write(Snapshots(tmp_path, keep=2), 7)
    assert path == Snapshots(tmp_path, keep=2).folder_of(7)
    found = read_snapshot(path)
    assert found.state == LoopState(step=7, epoch=1, batch=2, best=0.5, first_loss=0.1 + 0.2)
    assert torch.equal(found.weights["a"], torch.full((3,), 7.0))
    assert torch.equal(found.moments["a|step"], torch.ones(1))
    assert torch.equal(found.mean["a"], torch.full((3,), 0.5))
    assert found.machine == machine_facts()
    assert differences(found.machine) == []


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, keep=2)
    for step in (1, 2, 10, 9999999):
        write(snapshots, step)
    assert [path.name for path in snapshots.all()] == ["step-00000010", "step-09999999"]


def test_a_step_that_is_written_again_takes_the_place_of_the_old(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, keep=2)
    flip(write(snapshots, 3) / "model.safetensors")
    write(snapshots, 3)
    assert snapshots.newest()[1] == []
    assert len(list(tmp_path.iterdir())) == 1


def test_an_empty_or_absent_folder_has_no_snapshot(tmp_path: Path) -> None:
    assert Snapshots(tmp_path, keep=1).newest() == (None, [])
    assert Snapshots(tmp_path / "absent", keep=1).newest() == (None, [])


def test_one_that_a_kill_left_half_written_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".step-00000009.writing").mkdir()
    snapshots = Snapshots(tmp_path, keep=2)
    write(snapshots, 4)
    found, faults = snapshots.newest()
    assert found is not None and found.state.step == 4
    assert faults == []


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_any_file_is_found_and_the_one_before_is_taken(
    tmp_path: Path, name: str
) -> None:
    snapshots = Snapshots(tmp_path, keep=3)
    write(snapshots, 1)
    flip(write(snapshots, 2) / name)
    found, faults = snapshots.newest()
    assert found is not None and found.state.step == 1
    assert len(faults) == 1
    assert faults[0].startswith("step-00000002 is damaged and is passed over (")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_file_that_is_cut_short_is_found(tmp_path: Path, name: str, share: float) -> None:
    path = write(Snapshots(tmp_path, keep=1), 2) / name
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert Snapshots(tmp_path, keep=1).newest()[0] is None


@pytest.mark.parametrize("name", FILES[:4])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    path = write(Snapshots(tmp_path, keep=1), 2)
    (path / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        read_snapshot(path)


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    path = write(Snapshots(tmp_path, keep=1), 2)
    flip(path / "optimizer.safetensors")
    with pytest.raises(CheckpointError, match="optimizer.safetensors is not what was written"):
        read_snapshot(path)


def test_a_state_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zhixing.training.snapshot.asdict", lambda state: {"step": state.step})
    path = write(Snapshots(tmp_path, keep=1), 2)
    with pytest.raises(CheckpointError, match=r"state\.json was written by another version"):
        read_snapshot(path)


def test_a_machine_that_differs_is_told_with_both_values() -> None:
    machine = {**machine_facts(), "torch": "1.0", "threads": -3}
    assert differences(machine) == [
        f"torch was 1.0 and is now {torch.__version__}",
        f"threads was -3 and is now {torch.get_num_threads()}",
    ]


def test_the_optimizers_state_goes_by_name_and_comes_back() -> None:
    def trained(count: int) -> tuple[torch.optim.AdamW, dict[Tensor, str]]:
        parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
        optimizer = torch.optim.AdamW(parameters, fused=True)
        for _ in range(count):
            for parameter in parameters:
                parameter.grad = torch.arange(1.0, len(parameter) + 1)
            optimizer.step()
        return optimizer, {p: f"part|{i}" for i, p in enumerate(parameters)}

    first, names = trained(3)
    moments = moments_of(first, names)
    assert set(moments) == {
        f"part|{i}|{key}" for i in range(2) for key in ("step", "exp_avg", "exp_avg_sq")
    }
    second, others = trained(0)
    restore_moments(second, others, moments)
    again = moments_of(second, others)
    assert all(torch.equal(again[name], value) for name, value in moments.items())
