"""A folder with a pickle becomes one without, and a pickle with code in it is never run."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zhixing.checkpoints.convert import convert
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained, save_pretrained
from zhixing.errors import CheckpointError, FileError


@pytest.fixture
def old(pretrained: Pretrained, tmp_path: Path) -> Path:
    """A folder as they were published once: `pytorch_model.bin` alone."""
    folder = tmp_path / "old"
    save_pretrained(pretrained, folder)
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_the_refusal_names_the_command_that_helps(old: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="zhixing convert .*old --out NEW"):
        load_pretrained(old)
    done = convert(old, tmp_path / "new")
    loaded = load_pretrained(tmp_path / "new")
    assert done.parameters == sum(p.numel() for p in loaded.model.parameters())
    assert not list((tmp_path / "new").glob("*.bin"))
    assert (old / "pytorch_model.bin").exists()


def test_the_weights_are_the_same_bits(pretrained: Pretrained, old: Path, tmp_path: Path) -> None:
    convert(old, tmp_path / "new")
    before = dict(pretrained.model.named_parameters())
    after = dict(load_pretrained(tmp_path / "new").model.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_in_several_files_are_gathered(
    pretrained: Pretrained, old: Path, tmp_path: Path
) -> None:
    weights = torch.load(old / "pytorch_model.bin", weights_only=True)
    names = sorted(weights)
    placed = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"pytorch_model-{number:05d}-of-00002.bin"
        torch.save({name: weights[name] for name in part}, old / file)
        placed |= dict.fromkeys(part, file)
    (old / "pytorch_model.bin").unlink()
    index = {"weight_map": placed}
    (old / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    convert(old, tmp_path / "new")
    after = dict(load_pretrained(tmp_path / "new").model.named_parameters())
    before = dict(pretrained.model.named_parameters())
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not (tmp_path / "new" / "pytorch_model.bin.index.json").exists()


class Harm:
    """Something that runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return (os.system, ("touch harmed",))


def test_code_in_a_pickle_is_not_run(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (old / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Harm()}))
    with pytest.raises(CheckpointError, match="cannot be read as tensors alone"):
        convert(old, tmp_path / "new")
    assert not (tmp_path / "harmed").exists()
    assert not (tmp_path / "new").exists()


def test_what_is_no_tensor_is_refused(old: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "b": 3}, old / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds 'b', which is no named tensor"):
        convert(old, tmp_path / "new")


def test_weights_that_are_not_the_models_are_refused(old: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, old / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"old: embedding\.tokens\.weight is missing"):
        convert(old, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_without_a_pickle_is_refused(
    old: Path, pretrained: Pretrained, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match="is no folder"):
        convert(tmp_path / "absent", tmp_path / "new")
    save_pretrained(pretrained, tmp_path / "safe")
    with pytest.raises(CheckpointError, match="loads as it is; nothing to convert"):
        convert(tmp_path / "safe", tmp_path / "new")
    shutil.rmtree(old)
    old.mkdir()
    with pytest.raises(CheckpointError, match=r"has no pytorch_model\.bin"):
        convert(old, tmp_path / "new")


def test_an_index_may_not_name_files_elsewhere(old: Path, tmp_path: Path) -> None:
    (old / "pytorch_model.bin").unlink()
    (old / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "../x.bin"}}')
    with pytest.raises(CheckpointError, match="no weight_map of files in its folder"):
        convert(old, tmp_path / "new")
