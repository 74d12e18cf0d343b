from pathlib import Path

import pytest

from zhixing.errors import FileError
from zhixing.workflows.inspect import inspect
from zhixing.workflows.load import load


def test_the_page_shows_the_answer_and_every_layer(trained: Path, tmp_path: Path) -> None:
    page = inspect(load(trained), "a <b>good</b> film", tmp_path / "p.html").read_text()
    assert "Layer 0" in page and "&lt;b&gt;good" in page and "positive" in page


def test_a_long_text_says_how_much_is_drawn(trained: Path, tmp_path: Path) -> None:
    page = inspect(load(trained), "good " * 100, tmp_path / "p.html").read_text()
    assert "The first 64 of 102 tokens are drawn." in page


def test_a_page_that_cannot_be_written_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written"):
        inspect(load(trained), "good", tmp_path / "no" / "p.html")
