"""The languages of a translation, as they are spelled."""

import pytest

from zhixing.tasks.translation.languages import splitting_language
from zhixing.tasks.translation.sentences import sentence_spans


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (None, "en"),
        ("", "en"),
        ("fr", "fr"),
        ("fr_XX", "fr"),
        ("__de__", "de"),
        ("spa_Latn", "es"),
        ("est_Latn", "et"),
        ("ceb", "ceb"),
    ],
)
def test_sentences_are_found_by_the_language_that_is_meant(code: str | None, expected: str) -> None:
    assert splitting_language(code) == expected


@pytest.mark.parametrize("language", ["ceb", "xx", "q"])
def test_a_language_nobody_knows_still_parts_sentences(language: str) -> None:
    spans = sentence_spans("One here. Two there.", language)
    assert [span.text for span in spans if span.is_language] == ["One here.", "Two there."]
