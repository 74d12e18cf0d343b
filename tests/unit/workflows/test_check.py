from pathlib import Path

import pytest

from zhixing.data.roles import Columns
from zhixing.errors import DataError
from zhixing.workflows.check import check


def test_lengths_are_counted_in_the_model_s_tokens(trained: Path, reviews: Path) -> None:
    data = reviews / "train.csv"
    counted, plain = check(data, model=str(trained)), check(data)
    assert counted.lengths is not None and plain.lengths is not None
    assert (counted.lengths.unit, plain.lengths.unit) == ("tokens", "characters")
    assert counted.lengths.median == 8


def test_faults_of_the_file_stand_beside_those_of_the_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\na\0b,x\n")
    found = check(tmp_path / "a.csv")
    assert found.has_errors and found.num_rows == 0


def test_a_leak_into_validation_is_found() -> None:
    found = check([("same", "x"), ("other", "y")], validation=[("same", "x")])
    assert "leaked_rows" in {finding.kind for finding in found.findings}


def test_rows_in_memory_without_a_text_column_are_refused() -> None:
    with pytest.raises(DataError, match="it is the text"):
        check([{"a": "1", "b": "2"}])
    assert check([{"a": "x", "b": "y"}], columns=Columns(text="a", label="b")).num_rows == 1
