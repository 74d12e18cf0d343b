"""Training checkpoints (snapshots): a run's whole state, atomic, checksummed, bounded in number."""

import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zhixing.checkpoints.files import (
    read_json,
    read_tensors,
    sha256_of,
    whole_folder,
    write_json,
    write_tensors,
)
from zhixing.errors import CheckpointError, FileError

MODEL_FILE, OPTIMIZER_FILE, MEAN_FILE, STATE_FILE, CHECKSUMS_FILE = (
    "model.safetensors",
    "optimizer.safetensors",
    "mean.safetensors",
    "state.json",
    "sha256.json",
)


@dataclass(frozen=True)
class LoopState:
    """The training loop's position: after `step` steps, `batch` batches into `epoch`.

    Attributes:
        step: Optimizer steps done.
        epoch: From 0.
        batch: Batches of this epoch already read; with the epoch, the loader's position.
        best: Best score of the chosen metric so far.
        best_step: The step that had it.
        worse: Evaluations in a row without improvement.
        first_loss: Loss of the first step, by which an explosion is recognized.
        seconds: Time spent in steps.
        tokens: Tokens read.
        loss_scale: Of float16; 0 where there is none.
        scale_growth: Steps since the loss scale last changed.
        averaged: Points that the mean of weights has taken in.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float | None = None
    best_step: int = 0
    worse: int = 0
    first_loss: float | None = None
    seconds: float = 0.0
    tokens: int = 0
    loss_scale: float = 0.0
    scale_growth: int = 0
    averaged: int = 0


@dataclass(frozen=True)
class Snapshot:
    """A training checkpoint as read from disk: loop state, weights, optimizer moments."""

    state: LoopState
    weights: dict[str, Tensor]
    moments: dict[str, Tensor]
    mean: dict[str, Tensor]
    machine: dict[str, Any]


def machine_facts() -> dict[str, Any]:
    """Give the facts of this machine that a bit-identical resume depends on."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }


def moments_of(optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str]) -> dict[str, Tensor]:
    """Give the optimizer's state dict (Adam's moments) by parameter name."""
    return {
        f"{names[parameter]}|{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def restore_moments(
    optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str], moments: Mapping[str, Tensor]
) -> None:
    """Put the optimizer's state back."""
    by_name = {name: parameter for parameter, name in names.items()}
    for key, value in moments.items():
        name, _, part = key.rpartition("|")
        parameter = by_name[name]
        device = parameter.device if part != "step" else value.device
        optimizer.state[parameter][part] = value.to(device)


@dataclass(frozen=True)
class Snapshots:
    """Write, find and read the snapshots (training checkpoints) of one run folder.

    Each has a folder named after its step; of the newest, `keep` stay.
    """

    folder: Path
    keep: int

    def write(
        self,
        state: LoopState,
        weights: Mapping[str, Tensor],
        moments: Mapping[str, Tensor],
        mean: Mapping[str, Tensor],
    ) -> Path:
        """Write a snapshot, whole or not at all, then remove the oldest beyond `keep`."""
        path = self.folder_of(state.step)
        # One that is there already was found damaged: the run has gone on from an older one.
        shutil.rmtree(path, ignore_errors=True)
        with whole_folder(path) as folder:
            write_tensors(folder / MODEL_FILE, weights, {})
            write_tensors(folder / OPTIMIZER_FILE, moments, {})
            if mean:
                write_tensors(folder / MEAN_FILE, mean, {})
            write_json(folder / STATE_FILE, {"state": asdict(state), "machine": machine_facts()})
            names = sorted(file.name for file in folder.iterdir())
            write_json(folder / CHECKSUMS_FILE, {name: sha256_of(folder / name) for name in names})
        for old in self.all()[: -self.keep]:
            shutil.rmtree(old)
        return path

    def folder_of(self, step: int) -> Path:
        """Name the folder of a step's snapshot."""
        return self.folder / f"step-{step:08d}"

    def all(self) -> list[Path]:
        """List the snapshots, the oldest first."""
        return sorted(p for p in self.folder.glob("step-*") if p.is_dir())

    def newest(self) -> tuple[Snapshot | None, list[str]]:
        """Read the newest snapshot that is whole.

        Returns:
            The snapshot, or None if no one is whole; and a sentence for each that is not.
        """
        faults: list[str] = []
        for path in reversed(self.all()):
            try:
                return read_snapshot(path), faults
            except (CheckpointError, FileError, KeyError) as error:
                faults.append(f"{path.name} is damaged and is passed over ({error})")
        return None, faults


def read_snapshot(folder: Path) -> Snapshot:
    """Read a snapshot and check every byte of it.

    Raises:
        CheckpointError: If a file is absent or is not what was written.
    """
    sums = read_json(folder / CHECKSUMS_FILE)
    for name in sorted({MODEL_FILE, OPTIMIZER_FILE, STATE_FILE, *sums}):
        if not (folder / name).is_file():
            raise CheckpointError(f"{name} is missing")
        if sha256_of(folder / name) != sums.get(name):
            raise CheckpointError(f"{name} is not what was written: its SHA-256 differs")
    values = read_json(folder / STATE_FILE)
    known = {field.name for field in fields(LoopState)}
    if set(values["state"]) != known:
        raise CheckpointError(f"{STATE_FILE} was written by another version")
    return Snapshot(
        LoopState(**values["state"]),
        read_tensors(folder / MODEL_FILE),
        read_tensors(folder / OPTIMIZER_FILE),
        read_tensors(folder / MEAN_FILE) if MEAN_FILE in sums else {},
        values["machine"],
    )


def differences(machine: Mapping[str, Any]) -> list[str]:
    """Say why a resume on this machine cannot be bit-identical; empty if it can."""
    now = machine_facts()
    return [
        f"{key} was {machine.get(key)} and is now {value}"
        for key, value in now.items()
        if machine.get(key) != value
    ]
