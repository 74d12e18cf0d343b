"""Train with zhixing for a benchmark, and write down what was measured and where."""

import json
import platform
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.datasets import Split
from zhixing.layers.kernels.packed_linear import has_tiles
from zhixing.workflows.train import train

RESULTS = Path(__file__).parent / "results"
# What is added to the name of a result, by whether the processor has tiles (AMX).
MACHINE_KINDS = {False: "", True: "-amx"}

# What the reference library's Trainer does unless it is told otherwise, in our words.
SAME_AS_TRAINER = {
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 5e-5,
    "warmup_ratio": 0.0,
    "weight_decay": 0.0,
    "attention_dropout": 0.1,
    "schedule": "linear",
    "max_grad_norm": 1.0,
    "snapshot_minutes": 0,
    # The last weights are scored, as there: none are chosen by the rows they are scored on.
    "evaluations_per_epoch": 0,
}


def train_ours(
    split: Split,
    settings: dict[str, Any],
    *,
    model: str = "minilm",
    threads: int = 0,
    after: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Train once, from reading the rows to scoring; seconds are of steps alone.

    `after` is handed the model folder while it is there.
    """
    with tempfile.TemporaryDirectory() as box:
        finished = train(
            "classify",
            data=split.train,
            validation=split.validation,
            out=Path(box) / "run",
            model=model,
            threads=threads,
            **settings,
        )
        if after is not None:
            after(Path(box) / "run")
    if finished is None or finished.report is None:
        raise SystemExit("the training was stopped")
    score = finished.report.scores["accuracy"]
    baseline = finished.report.baseline
    return {
        "accuracy": score.value,
        "interval": [score.interval.low, score.interval.high],
        "seconds": finished.seconds,
        "tokens": finished.tokens,
        "signature": finished.report.signature,
        "baseline": None
        if baseline is None
        else {
            "unit": baseline.unit,
            "accuracy": baseline.accuracy,
            "gain": baseline.gain.difference,
            "gain_interval": [baseline.gain.interval.low, baseline.gain.interval.high],
        },
    }


def installed(*names: str) -> dict[str, str]:
    """Give the versions of some packages; those that are absent are left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Describe the machine that measures."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = lines[0].partition(":")[2].strip() if lines else model
    return {
        "processor": model,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "amx": has_tiles(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }


def commit() -> str:
    """Give the commit that is checked out."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def write_result(
    name: str, command: str, values: dict[str, Any], *, by_machine: bool = False
) -> Path:
    """Keep what was measured, with everything it depends on.

    Args:
        name: Of the result.
        command: That made it.
        values: What was measured.
        by_machine: Keep it beside that of the other kind of processor, not in its place.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}{MACHINE_KINDS[has_tiles()] if by_machine else ''}.json"
    packages = installed("torch", "transformers", "ctranslate2", "tokenizers", "zhixing")
    record = {
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "packages": packages,
        **values,
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def read(name: str) -> dict[str, Any] | None:
    """Read a result, if it was measured."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def summary(seconds: list[float]) -> dict[str, float]:
    """Give median and spread of repeated measurements."""
    return {
        "median": statistics.median(seconds),
        "lowest": min(seconds),
        "highest": max(seconds),
    }
