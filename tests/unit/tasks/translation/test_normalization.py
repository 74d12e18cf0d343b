"""Punctuation made plain before it is read."""

import sys

import pytest

from zhixing.errors import ConfigError
from zhixing.tasks.translation import normalization
from zhixing.tasks.translation.normalization import normalized_punctuation


def test_quotes_and_dashes_become_plain_and_words_stay() -> None:
    texts = ["“Quoted” – he said…", "", "naïve café"]
    assert normalized_punctuation(texts, "en") == ['"Quoted" - he said...', "", "naïve café"]


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    normalization._normalizer.cache_clear()
    monkeypatch.setitem(sys.modules, "sacremoses", None)
    with pytest.raises(ConfigError, match="pip install sacremoses"):
        normalized_punctuation(["a"], "en")
    normalization._normalizer.cache_clear()
