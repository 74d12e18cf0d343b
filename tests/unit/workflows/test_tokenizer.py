from pathlib import Path

import pytest

from zhixing.errors import FileError
from zhixing.tokenization.files import load_tokenizer
from zhixing.workflows.tokenizer import learn_vocabulary


def test_a_vocabulary_is_kept_and_read_back(reviews: Path, tmp_path: Path) -> None:
    learned = learn_vocabulary(reviews / "train.csv", out=tmp_path / "words", vocab_size=100)
    again = load_tokenizer(tmp_path / "words")
    assert again.ids(["a good film"]) == learned.ids(["a good film"])
    with pytest.raises(FileError, match="exists and is not empty"):
        learn_vocabulary(["a"], out=tmp_path / "words")
