import sys
from pathlib import Path

import pytest

from zhixing.checkpoints.files import opened_whole
from zhixing.errors import ConfigError, FileError
from zhixing.workflows.load import load
from zhixing.workflows.predict import predict_file


def test_every_row_has_its_line_and_progress_is_told(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("good\n" * 2050)
    told: list[int] = []
    out = tmp_path / "out.jsonl"
    assert predict_file(load(trained), tmp_path / "in.txt", out, progress=told.append) == 2050
    assert told == [2048, 2050]
    assert len(out.read_text().splitlines()) == 2050


def test_the_input_is_not_its_own_output(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("good\n")
    with pytest.raises(ConfigError, match="in.txt is also what is read, and would be lost"):
        predict_file(load(trained), tmp_path / "*.txt", tmp_path / "in.txt", overwrite=True)
    assert (tmp_path / "in.txt").read_text() == "good\n"


def test_an_output_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(ZeroDivisionError), opened_whole(str(out), overwrite=False) as file:
        file.write(str(1 // 0))
    assert not list(tmp_path.iterdir())
    with opened_whole(str(out), overwrite=False) as file:
        file.write("a")
    with pytest.raises(FileError, match="out.jsonl exists; name another file or add --overwrite"):
        opened_whole(str(out), overwrite=False).__enter__()
    with pytest.raises(FileError, match="cannot be written"):
        opened_whole(str(tmp_path / "no" / "x"), overwrite=False).__enter__()
    with opened_whole("-", overwrite=False) as file:
        assert file is sys.stdout
