"""Atomic reading and writing of checkpoint files: safetensors, JSON, folders, SHA-256."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from zhixing.errors import CheckpointError, FileError

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"

# A folder with none of these was not written here, and is never replaced.
OUR_FILES = {"run.json", "config.json", "tokenizer.json"}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: If the file is absent, is not JSON or is not an object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; a model folder needs {path.name}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not valid JSON ({error}); fetch or save it again"
        ) from error
    except OSError as error:
        raise FileError(
            f"{path} cannot be read ({error.strerror}); check its permissions"
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds a {type(values).__name__}; it has to be a JSON object")
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object that a person can read, atomically."""
    write_text(path, json.dumps(values, ensure_ascii=False, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: to a temporary name, flushed, then renamed.

    Raises:
        FileError: If the disk is full or the folder cannot be written to.
    """
    with _replacing(path, "free space or choose another folder") as file:
        file.write(text)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read one safetensors file; every tensor has memory of its own.

    Raises:
        CheckpointError: If it is cut short or is something else, a pickle for instance.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        return {name: _read_tensor(path, name) for name in names}
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}); fetch or save it again"
        ) from error
    except OSError as error:
        raise FileError(
            f"{path} cannot be read ({error.strerror or error}); check that it exists"
        ) from error


def read_facts(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file.

    Raises:
        FileError: If it cannot be read.
        CheckpointError: If it is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except OSError as error:
        reason = error.strerror or error
        raise FileError(f"{path} cannot be read ({reason}); check the path") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file ({error}); make it again") from error


def _read_tensor(path: Path, name: str) -> Tensor:
    # Opened for each: what was read of a file stays in memory until it is closed.
    with safe_open(path, framework="pt") as file:
        tensor: Tensor = file.get_tensor(name)
        return tensor.clone()


def read_weights_of(folder: Path) -> dict[str, Tensor]:
    """Read the state dict of a model folder, kept in one safetensors file or in shards.

    Raises:
        CheckpointError: If there are none, or only a pickle, which is never opened.
    """
    if (folder / WEIGHTS_FILE).exists():
        return read_tensors(folder / WEIGHTS_FILE)
    if (folder / INDEX_FILE).exists():
        weights: dict[str, Tensor] = {}
        for name in _files_named(folder / INDEX_FILE):
            weights |= read_tensors(folder / name)
        return weights
    pickles = [path.name for mark in ("*.bin", "*.pt*") for path in sorted(folder.glob(mark))]
    if pickles:
        raise CheckpointError(
            f"{folder} keeps its weights in {pickles[0]}, a pickle, which can run code when opened "
            f"and is never read here; make a safe folder of it with: zhixing convert {folder} "
            f"--out NEW"
        )
    raise CheckpointError(f"{folder} has no {WEIGHTS_FILE}; it is not a model folder")


def _files_named(index: Path) -> list[str]:
    """Give the files that an index names, all of them inside its own folder."""
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise CheckpointError(
            f"{index} has no weight_map of weights and file names; fetch or save the model again"
        )
    names = sorted(set(named.values()))
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(
            f"{index} names {outside[0]!r}, which is outside the folder; fetch the model again"
        )
    return names


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write one safetensors file and flush it to the disk.

    Raises:
        FileError: If it cannot be written.
    """
    try:
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, path, metadata=dict(metadata))
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(
            f"{path} cannot be written ({reason}); free space or choose another folder"
        ) from error


def sha256_of(path: Path) -> str:
    """Compute a file's SHA-256, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_free_file(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file unasked.

    Raises:
        FileError: If it exists, unless it is to be overwritten.
    """
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists; name another file or add --overwrite")


def check_free_to_write(folder: Path, *, overwrite: bool) -> None:
    """Refuse an output folder that exists and is not empty, or cannot be made.

    What is overwritten is a model, a run or a vocabulary: never a folder of other things, which
    a mistyped name would cost somebody.

    Raises:
        FileError: With the option that would allow it.
    """
    try:
        inside = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        parent = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    except OSError as error:
        raise FileError(f"{folder} cannot be read ({error.strerror}); name another") from error
    if not parent.is_dir():
        raise FileError(f"{parent} is a file; name a folder to write to")
    if inside and not overwrite:
        raise FileError(f"{folder} exists and is not empty; name another folder or add --overwrite")
    if inside and not inside & OUR_FILES:
        raise FileError(
            f"{folder} holds {min(inside)} and no model, so that nothing in it is overwritten; "
            f"name another folder"
        )
    if not os.access(parent, os.W_OK):
        raise FileError(f"{folder} cannot be made, because {parent} is not writable; name another")


@contextmanager
def whole_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Write a folder atomically: yield a temporary one that replaces `folder` once complete.

    If anything fails, the temporary folder is removed and what stood at `folder` stays.

    Raises:
        FileError: If the folder cannot be written or is in use.
    """
    check_free_to_write(folder, overwrite=overwrite)
    # "." has no name to put a temporary folder beside.
    folder = folder.resolve()
    temporary = folder.with_name(f".{folder.name}.writing")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        _put_in_place(temporary, folder)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"{folder} cannot be written ({error.strerror}); free space or choose another folder"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Rename a folder over another, which comes back if that fails."""
    old = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's own entries (fsync), where the system has such a thing."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def opened_whole(name: str, *, overwrite: bool) -> Iterator[TextIO]:
    """Give a file to write to that takes its place when all has been written; "-" is stdout.

    Raises:
        FileError: If it exists already, or the disk is full or not writable.
    """
    if name == "-":
        yield sys.stdout
        return
    path = Path(name)
    check_free_file(path, overwrite=overwrite)
    with _replacing(path, "choose another") as file:
        yield file


@contextmanager
def _replacing(path: Path, advice: str) -> Iterator[TextIO]:
    temporary = path.with_name(f".{path.name}.writing")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error.strerror}); {advice}") from error
    finally:
        temporary.unlink(missing_ok=True)
