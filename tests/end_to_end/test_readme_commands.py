"""The commands and the Python of the README and of the guides in docs, run as they stand there."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/classification.md", "docs/translation.md", "docs/python.md"]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a page's commands leave behind, and how many lines of it.
LEFT = {
    "README.md": {"book.fr.txt": 3},
    "docs/classification.md": {"labels.jsonl": 24},
    "docs/translation.md": {
        "book.fr.txt": 3,
        "book-en-fr.txt": 3,
        "scores.jsonl": 24,
        "summaries.jsonl": 24,
    },
    "docs/python.md": {},
}


@dataclass(frozen=True)
class Place:
    """A folder with the files that a page speaks of, each with a few rows.

    Python has the same files in a folder of its own: it writes what the commands write, too.
    """

    page: str
    folder: Path
    blocks: list[tuple[str, str]] = field(default_factory=list)

    def run(self, words: list[str], where: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command where the files lie, on one thread."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            words, cwd=self.folder / where, env=env, capture_output=True, text=True, check=False
        )


@pytest.fixture(params=PAGES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Lay out the files for one page."""
    rows = [(f"a {word} film, number {i}", word) for i in range(12) for word in ("good", "bad")]
    pairs = [(text, f"{label} : {text}") for text, label in rows]
    tables = {
        "reviews.csv": ("review,label", [f'"{text}",{label}' for text, label in rows]),
        "test.csv": ("review,label", [f'"{text}",{label}' for text, label in rows]),
        "million.csv": ("review", [f'"{text}"' for text, _ in rows]),
        "pairs.tsv": ("source\ttarget", [f"{text}\t{target}" for text, target in pairs]),
        "articles.csv": ("text,summary", [f'"{text}","{label}"' for text, label in rows]),
    }
    tickets = [f'{{"text": "{text}", "intent": "{label}"}}\n' for text, label in rows]
    files = {name: "\n".join([header, *lines]) + "\n" for name, (header, lines) in tables.items()}
    files |= {"tickets.jsonl": "".join(tickets)}
    files |= {"book.txt": "A good film.\n\nA bad film, number 3.\n"}
    (tmp_path / "python").mkdir()
    for name, content in files.items():
        for folder in (tmp_path, tmp_path / "python"):
            (folder / name).write_text(content)
    text = (ROOT / request.param).read_text(encoding="utf-8")
    return Place(request.param, tmp_path, BLOCK.findall(text))


def run_line(place: Place, line: str) -> None:
    """Run one line of a page."""
    words = shlex.split(line, comments=True)
    out = next((words[words.index(o) + 1] for o in ("--out", "--output") if o in words), None)
    done = place.run(words)
    if words[1] == "resume":
        assert "is complete; there is nothing to go on with" in done.stderr
        return
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert out is None or (place.folder / out).exists(), line


def test_every_command_and_all_python_of_a_page_do_their_work(place: Place) -> None:
    assert place.blocks
    for kind, code in place.blocks:
        if kind == "python":
            done = place.run([sys.executable, "-c", code], where="python")
            assert done.returncode == 0, f"{code}\n{done.stderr}"
            continue
        for line in code.replace("\\\n", " ").splitlines():
            if line.strip():
                run_line(place, line)
    for name, count in LEFT[place.page].items():
        assert len((place.folder / name).read_text().splitlines()) == count
