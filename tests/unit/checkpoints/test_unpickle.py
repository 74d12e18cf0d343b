"""Of a pickle the named tensors are taken, and nothing else is."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zhixing.checkpoints.unpickle import main


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.safetensors"


def saved(path: Path, values: Any) -> Path:
    torch.save(values, path)
    return path


def test_every_tensor_keeps_its_name_bits_and_dtype(tmp_path: Path, out: Path) -> None:
    values = {
        "a.weight": torch.tensor([[1.5, -0.0], [float("inf"), 2e-40]]),
        "b": torch.tensor([1, 2], dtype=torch.int64),
        "c": torch.tensor(3.0, dtype=torch.bfloat16),
        "d": torch.empty(0, 4),
    }
    main(out, [saved(tmp_path / "a.bin", values)])
    found = load_file(out)
    assert found.keys() == values.keys()
    for name, tensor in values.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].signbit().tolist() == tensor.signbit().tolist()
        assert torch.equal(found[name], tensor)


def test_tensors_of_several_files_are_gathered(tmp_path: Path, out: Path) -> None:
    first = saved(tmp_path / "1.bin", {"a": torch.zeros(2), "b": torch.ones(1)})
    second = saved(tmp_path / "2.bin", {"c": torch.full((3,), 2.0)})
    main(out, [first, second])
    sums = {name: float(tensor.sum()) for name, tensor in load_file(out).items()}
    assert sums == {"a": 0.0, "b": 1.0, "c": 6.0}


def test_tensors_that_share_memory_are_parted(tmp_path: Path, out: Path) -> None:
    table = torch.arange(6.0).view(2, 3)
    values = {"table": table, "tied": table, "row": table[1], "turned": table.T}
    main(out, [saved(tmp_path / "a.bin", values)])
    found = load_file(out)
    assert torch.equal(found["tied"], table)
    assert found["row"].tolist() == [3.0, 4.0, 5.0]
    assert found["turned"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_a_parameter_is_a_tensor(tmp_path: Path, out: Path) -> None:
    main(out, [saved(tmp_path / "a.bin", {"a": torch.nn.Parameter(torch.ones(2))})])
    assert load_file(out)["a"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": torch.ones(1), "step": 3}, "a.bin holds 'step', which is no named tensor"),
        ({3: torch.ones(1)}, "a.bin holds 3, which is no named tensor"),
        ({"model": {"a": torch.ones(1)}}, "a.bin holds 'model', which is no named tensor"),
        ([torch.ones(1)], "a.bin holds a list, not named tensors"),
        (torch.ones(1), "a.bin holds a Tensor, not named tensors"),
    ],
)
def test_what_is_no_named_tensor_is_refused(
    values: Any, message: str, tmp_path: Path, out: Path
) -> None:
    with pytest.raises(SystemExit, match=message):
        main(out, [saved(tmp_path / "a.bin", values)])
    assert not out.exists()


class Harm:
    """Something that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def test_code_in_a_pickle_is_not_run(tmp_path: Path, out: Path) -> None:
    harmed = tmp_path / "harmed"
    saved(tmp_path / "a.bin", {"a": torch.ones(1), "b": Harm(harmed)})
    (tmp_path / "old.bin").write_bytes(pickle.dumps(Harm(harmed), protocol=2))
    for name in ("a.bin", "old.bin"):
        with pytest.raises(pickle.UnpicklingError):
            main(out, [tmp_path / name])
    assert not harmed.exists()
    assert not out.exists()
