import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from zhixing.checkpoints.files import (
    check_free_to_write,
    read_json,
    read_tensors,
    read_weights_of,
    sha256_of,
    sync_folder,
    whole_folder,
    write_json,
    write_tensors,
    write_text,
)
from zhixing.errors import CheckpointError, FileError

NO_SPACE = OSError(28, "No space left on device")


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def old_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("old")
    return folder


def test_json_is_written_for_people_and_read_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "知行", "n": [1]})
    assert "知行" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"name": "知行", "n": [1]}
    assert entries(tmp_path) == ["a.json"]


def test_absent_json_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json does not exist; a model folder needs"):
        read_json(tmp_path / "config.json")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_what_is_not_json_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json is not valid JSON .*save it again"):
        read_json(tmp_path / "config.json")


def test_json_that_is_no_object_is_refused_with_its_kind(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="holds a list; it has to be a JSON object"):
        read_json(tmp_path / "config.json")


def test_a_folder_in_place_of_json_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(FileError, match=r"cannot be read \(Is a directory\)"):
        read_json(tmp_path / "config.json")


def test_a_failed_write_leaves_the_old_text_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a.txt", "old")

    def full(handle: int) -> None:
        raise NO_SPACE

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"a\.txt cannot be written \(No space left on device\)"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert entries(tmp_path) == ["a.txt"]


def test_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 2), "b": torch.randn(2, 3).T.bfloat16()}
    write_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    found = read_weights_of(tmp_path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert all(found[name].dtype == tensors[name].dtype for name in tensors)


def test_tensors_that_find_no_place_give_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"model\.safetensors cannot be written .*free space"):
        write_tensors(tmp_path / "absent" / "model.safetensors", {"a": torch.ones(1)}, {})


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(64)}, path)
    whole = path.read_bytes()
    for size in (0, 4, 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
            read_tensors(path)


def test_a_pickle_under_the_name_of_safetensors_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        read_weights_of(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "model.pth"])
def test_a_pickle_is_named_and_never_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(CheckpointError, match=f"{name}, a pickle, which can run code"):
        read_weights_of(tmp_path)


def test_a_folder_without_weights_is_no_model_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors; it is not a model"):
        read_weights_of(tmp_path)


def test_an_absent_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"absent\.safetensors cannot be read"):
        read_tensors(tmp_path / "absent.safetensors")


def shards(folder: Path, names: object) -> None:
    save_file({"a": torch.ones(2)}, folder / "one.safetensors")
    save_file({"b": torch.zeros(2)}, folder / "two.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))


def test_several_files_are_joined(tmp_path: Path) -> None:
    shards(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"})
    assert sorted(read_weights_of(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("name", ["../one.safetensors", "/etc/passwd", "sub/one.safetensors"])
def test_an_index_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "model").mkdir()
    save_file({"a": torch.ones(2)}, tmp_path / "one.safetensors")
    shards(tmp_path / "model", {"a": name})
    with pytest.raises(CheckpointError, match=f"names '{name}', which is outside the folder"):
        read_weights_of(tmp_path / "model")


@pytest.mark.parametrize("names", [None, [], "one.safetensors", {"a": 5}, {"a": ["x"]}])
def test_an_index_without_a_map_of_names_is_refused(tmp_path: Path, names: object) -> None:
    shards(tmp_path, names)
    with pytest.raises(CheckpointError, match="has no weight_map of weights and file names"):
        read_weights_of(tmp_path)


def test_an_index_that_names_an_absent_file_says_which(tmp_path: Path) -> None:
    shards(tmp_path, {"a": "one.safetensors", "c": "three.safetensors"})
    with pytest.raises(FileError, match=r"three\.safetensors cannot be read"):
        read_weights_of(tmp_path)


def test_sha256_is_the_one_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_whole_folder_appears_at_once(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "deep" / "out") as place:
        (place / "a").write_text("1")
        assert not (tmp_path / "deep" / "out").exists()
    assert entries(tmp_path / "deep") == ["out"]
    assert entries(tmp_path / "deep" / "out") == ["a"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt("stop"), FileError("mine")])
def test_a_failure_inside_leaves_the_old_folder(tmp_path: Path, error: BaseException) -> None:
    old = old_model(tmp_path / "out")
    with (
        pytest.raises(type(error), match=str(error)),
        whole_folder(old, overwrite=True) as place,
    ):
        (place / "config.json").write_text("half")
        raise error
    assert (old / "config.json").read_text() == "old"
    assert entries(tmp_path) == ["out"]


def test_a_full_disk_inside_leaves_the_old_folder(tmp_path: Path) -> None:
    old = old_model(tmp_path / "out")
    with (
        pytest.raises(FileError, match=r"out cannot be written \(No space left on device\)"),
        whole_folder(old, overwrite=True),
    ):
        raise NO_SPACE
    assert entries(old) == ["config.json"] and entries(tmp_path) == ["out"]


def test_the_old_folder_comes_back_when_the_new_cannot_be_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = old_model(tmp_path / "out")
    rename = Path.rename

    def refusing(path: Path, target: Path) -> Path:
        if path.name.endswith(".writing"):
            raise OSError(16, "Device or resource busy")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(FileError, match="busy"), whole_folder(old, overwrite=True) as place:
        (place / "config.json").write_text("new")
    assert (old / "config.json").read_text() == "old"
    assert entries(tmp_path) == ["out"]


def test_a_folder_is_overwritten_only_when_asked_for(tmp_path: Path) -> None:
    old = old_model(tmp_path / "out")
    with (
        pytest.raises(FileError, match="out exists and is not empty; .* add --overwrite"),
        whole_folder(old) as place,
    ):
        (place / "never").write_text("")
    with whole_folder(old, overwrite=True) as place:
        (place / "new").write_text("")
    assert entries(old) == ["new"] and entries(tmp_path) == ["out"]


def test_a_folder_of_other_things_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(FileError, match=r"holds thesis\.tex and no model"):
        check_free_to_write(tmp_path, overwrite=True)


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with whole_folder(tmp_path / "out") as place:
        (place / "a").write_text("1")
    assert entries(tmp_path / "out") == ["a"]


def test_the_current_folder_may_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with whole_folder(Path(".")) as place:
        (place / "a").write_text("1")
    assert entries(tmp_path / "here") == ["a"]


@pytest.mark.parametrize("inside", ["", "sub"])
def test_a_file_is_no_place_for_a_folder(tmp_path: Path, inside: str) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(FileError, match="out is a file; name a folder to write to"):
        check_free_to_write(tmp_path / "out" / inside, overwrite=True)


def test_a_parent_that_may_not_be_written_to_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        # Root may write everywhere; ask the question as another would have it answered.
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(FileError, match=f"{tmp_path} is not writable; name another"):
            check_free_to_write(tmp_path / "out", overwrite=False)
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_folder_that_cannot_be_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refusing)
    with pytest.raises(FileError, match=r"cannot be read \(Permission denied\); name another"):
        check_free_to_write(tmp_path, overwrite=False)


LIMITED = """
import resource, signal, sys
from pathlib import Path
import torch
from zhixing.checkpoints.files import whole_folder, write_tensors
from zhixing.errors import FileError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    with whole_folder(Path(sys.argv[1]), overwrite=True) as place:
        write_tensors(place / "model.safetensors", {"a": torch.ones(10_000)}, {})
except FileError as error:
    print(error)
"""


def test_a_real_limit_of_the_disk_leaves_the_old_folder(tmp_path: Path) -> None:
    old = old_model(tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(old)], capture_output=True, text=True, check=True
    )
    assert "model.safetensors cannot be written" in done.stdout
    assert entries(tmp_path) == ["out"] and (old / "config.json").read_text() == "old"


def test_a_folder_can_be_flushed(tmp_path: Path) -> None:
    handles = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    sync_folder(tmp_path)
    if handles:
        assert len(os.listdir("/proc/self/fd")) == handles
