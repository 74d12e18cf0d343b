"""The README's commands and its Python, run as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [code.replace("\\\n", " ") for kind, code in BLOCKS if kind == "bash"]
PYTHON = [code for kind, code in BLOCKS if kind == "python"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay the files out that the README speaks of, each with a few rows."""
    folder = tmp_path_factory.mktemp("readme")
    rows = [(f"a {word} film, number {i}", word) for i in range(12) for word in ("good", "bad")]
    for name in ("reviews.csv", "test.csv"):
        lines = [f'"{text}",{label}' for text, label in rows]
        (folder / name).write_text("\n".join(["review,label", *lines]) + "\n")
    (folder / "million.csv").write_text("review\n" + "".join(f'"{text}"\n' for text, _ in rows))
    tickets = [f'{{"text": "{text}", "intent": "{label}"}}' for text, label in rows]
    pairs = [f"{text}\t{label} : {text}" for text, label in rows]
    (folder / "pairs.tsv").write_text("\n".join(["source\ttarget", *pairs]) + "\n")
    (folder / "book.txt").write_text("A good film.\n\nA bad film, number 3.\n")
    (folder / "tickets.jsonl").write_text("\n".join(tickets) + "\n")
    return folder


def run(place: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command where the files lie, on one thread."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=place, env=env, capture_output=True, text=True, check=False)


def test_every_command_of_the_readme_does_its_work(place: Path) -> None:
    lines = [line for block in COMMANDS for line in block.splitlines() if line.strip()]
    assert len(lines) > 10
    for line in lines:
        words = shlex.split(line, comments=True)
        out = words[words.index("--out") + 1] if "--out" in words else None
        if out is not None and (place / out).exists():
            words.append("--overwrite")
        done = run(place, words)
        if words[1] == "resume":
            assert "is complete; there is nothing to go on with" in done.stderr
            continue
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        assert out is None or (place / out).exists(), line
    assert len((place / "labels.jsonl").read_text().splitlines()) == 24
    assert len((place / "book.fr.txt").read_text().splitlines()) == 3


def test_the_python_of_the_readme_runs(place: Path, tmp_path: Path) -> None:
    for name in ("reviews.csv", "test.csv"):
        (tmp_path / name).write_bytes((place / name).read_bytes())
    (code,) = PYTHON
    done = run(tmp_path, [sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "reviews" / "report.html").exists()
