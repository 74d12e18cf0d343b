"""What is told about pairs before a translator is trained on them."""

import gzip
from pathlib import Path

import pytest
from shared_data import real_set
from tables import make_table

from zhixing.data.doctors.findings import Finding
from zhixing.data.doctors.pairs import examine_pairs
from zhixing.data.readers import read_table
from zhixing.data.roles import PAIRS
from zhixing.data.table import Table
from zhixing.errors import DataError
from zhixing.workflows.check import check


@pytest.fixture(scope="module")
def everyday() -> Table:
    with gzip.open(real_set("tatoeba_en-fr", "train.tsv.gz"), "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for _, line in zip(range(40_000), file, strict=False)]
    # Every tenth, as neighbours there are of equal length.
    chosen = sorted(rows[1::10], key=lambda row: hash_of(row[0]))
    return table_of([row[:2] for row in chosen])


def hash_of(text: str) -> int:
    return sum(ord(letter) * 31**i for i, letter in enumerate(text)) % 10_007


def table_of(rows: list[list[str]]) -> Table:
    sources, targets = [row[0] for row in rows], [row[1] for row in rows]
    return make_table(sources, targets=targets, source="mine.tsv")


def kinds(findings: list[Finding]) -> dict[str, list[int]]:
    return {finding.kind: finding.rows for finding in findings}


def test_sound_pairs_have_few_findings(everyday: Table) -> None:
    found = examine_pairs(everyday)
    assert not found.has_errors
    assert sum(f.count for f in found.findings if f.severity == "warning") < 0.005 * len(everyday)
    assert found.lengths is not None
    assert found.target_lengths is not None
    assert found.lengths.median < found.target_lengths.median


def test_each_planted_fault_is_found_at_its_row(everyday: Table) -> None:
    sources, targets = list(everyday.texts), list(everyday.targets)
    sources[10], targets[11] = "", "  "
    targets[20] = sources[20] = "This one was never translated."
    targets[30] = " ".join(targets[30:40])
    sources[40] = sources[40] + " It is 1789."
    sources[50], targets[50] = (
        "Je ne sais pas quand elle viendra.",
        "I do not know when she will come.",
    )
    sources[60], targets[60] = sources[61], targets[61]
    found = examine_pairs(everyday.with_cells("text", sources).with_cells("target", targets))
    rows = kinds(found.findings)
    assert rows["blank_sources"] == [11]
    assert rows["blank_targets"] == [12]
    assert 21 in rows["copied_sources"]
    assert 31 in rows["odd_lengths"]
    assert 41 in rows["other_numbers"]
    assert 51 in rows["sources_in_other"]
    assert 51 in rows["targets_in_other"]
    assert 62 in rows["duplicate_pairs"]
    assert found.has_errors


@pytest.mark.parametrize(("lost", "where"), [("target", "above"), ("source", "below")])
def test_a_lost_line_is_told_with_its_place(everyday: Table, lost: str, where: str) -> None:
    sources, targets = list(everyday.texts), list(everyday.targets)
    del (targets if lost == "target" else sources)[1000]
    size = len(everyday) - 1
    slipped = table_of([[a, b] for a, b in zip(sources[:size], targets[:size], strict=True)])
    (finding,) = [f for f in examine_pairs(slipped).findings if f.kind == "slipped_rows"]
    assert finding.severity == "error"
    assert 1001 <= finding.rows[0] <= 1201
    assert f"1 row {where}" in finding.message


def test_pairs_shared_with_validation_are_told(everyday: Table) -> None:
    held = everyday.select([5, 6, 7])
    other = held.with_cells("target", [held.targets[0], "Autre chose.", held.targets[2].upper()])
    rows = kinds(examine_pairs(everyday, other).findings)
    assert rows["leaked_pairs"] == [6, 8]
    assert rows["leaked_sources"] == [7]


def test_pairs_too_long_for_a_model_are_told_on_either_side() -> None:
    table = table_of([["a b c", "d"], ["a", "b c d"], ["a", "b"]])
    found = examine_pairs(
        table, count_tokens=lambda texts: [len(t.split()) for t in texts], max_length=2
    )
    assert kinds(found.findings)["long_pairs"] == [1, 2]


def test_a_table_without_targets_is_refused() -> None:
    with pytest.raises(DataError, match="--target COLUMN"):
        examine_pairs(make_table(["a"], source="mine.tsv"))


def test_a_file_of_sources_and_targets_is_known_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("source\ttarget\nOne.\tUn.\nTwo.\t\n", encoding="utf-8")
    found = check(tmp_path / "pairs.tsv")
    assert kinds(found.findings) == {"blank_targets": [2]}
    (tmp_path / "rows.tsv").write_text("text\ttarget\nfine\t1\nbad\t0\n", encoding="utf-8")
    assert check(tmp_path / "rows.tsv").labels == {"1": 1, "0": 1}


def test_the_pairs_of_a_real_set_are_as_it_says() -> None:
    table = read_table(real_set("multi30k_en-fr", "validation.tsv"), roles=PAIRS)
    assert not examine_pairs(table).has_errors
