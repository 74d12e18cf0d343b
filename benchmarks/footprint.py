"""How long until something happens, and how much memory does a large file take?

python -m benchmarks.footprint             start, memory, the suites
python -m benchmarks.footprint --demo      also `make demo` in a fresh clone

The memory is the most that a process ever had (ru_maxrss) while it classified a file.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.classify_speed import classifier_of_minilm
from benchmarks.runs import write_result
from zhixing.checkpoints.pretrained import save_pretrained

ROOT = Path(__file__).parent.parent
SUITES = ("tests/parity", "tests/properties", "tests/end_to_end")
SENTENCE = "the film was slow but its people are warm and i would see it again with friends"


def median_seconds(command: list[str], repeats: int = 15) -> float:
    """Time a whole command."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def starting() -> dict[str, float]:
    """Time the import, over that of Python itself, and the help of the command line."""
    nothing = median_seconds([sys.executable, "-c", "pass"])
    imported = median_seconds([sys.executable, "-c", "import zhixing"])
    return {
        "import": imported - nothing,
        "help": median_seconds([str(Path(sys.executable).parent / "zhixing"), "--help"]),
    }


def write_rows(path: Path, count: int) -> None:
    """Write short texts, drawn from a seed."""
    draw, words = random.Random(0), SENTENCE.split()
    with path.open("w", encoding="utf-8") as file:
        file.write("text\n")
        for _ in range(count):
            file.write(" ".join(draw.choices(words, k=draw.randint(3, 12))) + "\n")


def peak_megabytes(model: Path, rows: int, box: Path) -> float:
    """Give the most memory that classifying a file of some rows took."""
    source, output = box / "rows.csv", box / "answers.jsonl"
    write_rows(source, rows)
    command = ["classify", str(model), "--input", str(source), "--output", str(output)]
    script = "from zhixing.cli.main import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", script, *command, "--overwrite"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"classifying {rows} rows ended with {status}")
    return usage.ru_maxrss / 1024


def save_stub(folder: Path) -> None:
    """Save a model of one thin layer, so that a million rows take minutes."""
    rows = [f"{SENTENCE[i:]},{i % 2}" for i in range(64)]
    source = folder.with_suffix(".csv")
    source.write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    sizes = ["hidden_size=16", "encoder_layers=1", "num_heads=2", "feed_forward_size=16"]
    subprocess.run(
        [str(Path(sys.executable).parent / "zhixing"), "train", "classify"]
        + ["--data", str(source), "--model", "new", "--out", str(folder), "epochs=1"]
        + [f"new.{size}" for size in sizes],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def memory(box: Path) -> dict[str, dict[str, float]]:
    """Compare files of different lengths."""
    save_pretrained(classifier_of_minilm(), box / "minilm")
    save_stub(box / "stub")
    found: dict[str, dict[str, float]] = {}
    for name, counts in (("minilm", (10_000, 100_000)), ("stub", (10_000, 1_000_000))):
        found[name] = {str(rows): peak_megabytes(box / name, rows, box) for rows in counts}
        print(name, found[name], flush=True)
    return found


def suites() -> float:
    """Time the suites for parity, properties and whole runs, as `make test` runs them."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", *SUITES],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return time.perf_counter() - start


def demo(box: Path) -> float:
    """Time `make demo` in a fresh clone; packages come from pip's cache where it holds them."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(box / "clone")], check=True)
    start = time.perf_counter()
    subprocess.run(["make", "demo"], check=True, cwd=box / "clone", stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        values: dict[str, Any] = {
            "seconds": starting(),
            "peak_megabytes": memory(Path(name)),
            "suites": suites(),
        }
        if args.demo:
            values["demo"] = demo(Path(name))
    command = "python -m benchmarks.footprint" + (" --demo" if args.demo else "")
    print(write_result("footprint", command, values))
    print(values)


if __name__ == "__main__":
    main()
