"""Check every shape annotation of the package at run time, and train one tiny model to share."""

import csv
import io
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("zhixing", "beartype.beartype")

TINY = {
    "new.hidden_size": 32,
    "new.encoder_layers": 1,
    "new.num_heads": 2,
    "new.feed_forward_size": 64,
    "new.vocab_size": 300,
    "epochs": 1,
    "learning_rate": 0.01,
}
WORDS = {"positive": ["good", "lovely", "moving"], "negative": ["bad", "awful", "dull"]}


@dataclass(frozen=True)
class Outcome:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


def write_reviews(path: Path, rows: int, *, seed: int = 0) -> Path:
    """Write a table of short reviews, both labels by turns."""
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(rows):
            label = ("positive", "negative")[i % 2]
            plain = draw.choices(["the", "film", "story", "music", "was", "town"], k=5)
            words = plain + draw.choices(WORDS[label], k=3)
            draw.shuffle(words)
            writer.writerow([" ".join(words), label])
    return path


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.csv and test.csv."""
    folder = tmp_path_factory.mktemp("reviews")
    write_reviews(folder / "train.csv", 120)
    write_reviews(folder / "test.csv", 40, seed=1)
    return folder


@pytest.fixture(scope="session")
def trained(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model, trained once. Tests only read it."""
    import zhixing

    out = tmp_path_factory.mktemp("runs") / "tiny"
    zhixing.train("classify", data=reviews / "train.csv", out=out, model="new", **TINY)
    return out


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run a command line in this process, as the installed script does."""
    from zhixing.cli.main import main

    def run(*words: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["zhixing", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Outcome(int(end.value.code or 0), said.out, said.err)

    return run
