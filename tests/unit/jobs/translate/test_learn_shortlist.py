"""Shortlists are learned by model 1, worked out by hand, and belong to one vocabulary."""

from pathlib import Path

import numpy
import pytest
import torch

import zhixing as zx
from zhixing.checkpoints.files import write_tensors
from zhixing.errors import CheckpointError, ConfigError, FileError
from zhixing.jobs.translate.learn_shortlist import (
    learn_shortlist,
    load_shortlist,
    translation_chances,
    with_shortlist,
)
from zhixing.workflows.load import load

# "the house", "the book", "a book": the example of the textbooks.
THE, HOUSE, A, BOOK = range(4)
DAS, HAUS, EIN, BUCH = range(4)
PAIRS = [([THE, HOUSE], [DAS, HAUS]), ([THE, BOOK], [DAS, BUCH]), ([A, BOOK], [EIN, BUCH])]


def by_hand(rounds: int) -> dict[tuple[int, int], float]:
    """Model 1, one couple at a time."""
    met = {(e, f) for source, target in PAIRS for e in source for f in target}
    chance = dict.fromkeys(met, 1.0)
    for _ in range(rounds):
        counts = dict.fromkeys(met, 0.0)
        for source, target in PAIRS:
            for f in target:
                total = sum(chance[e, f] for e in source)
                for e in source:
                    counts[e, f] += chance[e, f] / total
        for e, f in met:
            chance[e, f] = counts[e, f] / sum(counts[e, g] for d, g in met if d == e)
    return chance


def test_chances_are_those_of_model_1() -> None:
    couples, chances = translation_chances(PAIRS, 4)
    found = {(int(c) // 4, int(c) % 4): float(p) for c, p in zip(couples, chances, strict=True)}
    assert found == pytest.approx(by_hand(4))
    best = {e: max((p, f) for (d, f), p in found.items() if d == e)[1] for e in range(4)}
    assert best == {THE: DAS, HOUSE: HAUS, A: EIN, BOOK: BUCH}


@pytest.fixture(scope="module")
def translator() -> zx.Translator:
    return load("en-fr")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [("Good morning.", "Bonjour."), ("Yes.", "Oui."), ("A small dog.", "Un petit chien.")]
    path = tmp_path / "pairs.tsv"
    path.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in rows * 20))
    return path


def test_it_is_learned_written_read_and_used(
    translator: zx.Translator, pairs: Path, tmp_path: Path
) -> None:
    path = tmp_path / "list.safetensors"
    report = learn_shortlist(translator, pairs, path, count=20, always=10)
    assert (report.pairs, report.held_out, report.recall) == (57, 3, 1.0)
    assert report.tokens < 60 < report.vocabulary
    listed = with_shortlist(load("en-fr"), path)
    assert listed("A small dog.").text == "Un petit chien."
    ids = listed.shortlist.ids_for(torch.tensor(listed.text_format.source.ids(["Yes."])[0]))
    assert set(listed.text_format.target.ids(["Oui."])[0]) <= set(ids.tolist())
    with pytest.raises(FileError, match="exists"):
        learn_shortlist(translator, pairs, path)


def test_numbers_out_of_range_are_refused(
    translator: zx.Translator, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="count is 0; it has to lie between 1 and 10000"):
        learn_shortlist(translator, pairs, tmp_path / "x", count=0)


def test_what_is_no_shortlist_or_anothers_is_refused(
    translator: zx.Translator, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.zeros(1)}, {"format": "pt"})
    with pytest.raises(CheckpointError, match="is no shortlist"):
        load_shortlist(path, translator)
    tensors = {"candidates": torch.zeros(1, 1), "always": torch.zeros(1)}
    facts = {"kind": "zhixing shortlist 1", "source": "a", "target": "b", "joint": "True"}
    write_tensors(path, tensors, facts)
    with pytest.raises(CheckpointError, match="learned for another vocabulary"):
        load_shortlist(path, translator)
    path.write_bytes(numpy.zeros(3).tobytes())
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load_shortlist(path, translator)
