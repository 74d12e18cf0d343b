import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zhixing.tasks.translation.sentences import is_language, sentence_spans


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200), language=st.sampled_from(["en", "fr", "de", "zh", "xx"]))
def test_spans_laid_end_to_end_are_the_document(text: str, language: str) -> None:
    spans = sentence_spans(text, language)
    assert "".join(span.text for span in spans) == text
    assert all(text[span.start : span.end] == span.text for span in spans)


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "Dr. Smith slept! He woke.", ["Dr. Smith slept!", "He woke."]),
        ("fr", "Il dort… « Quoi ? » dit-il. Bon.", ["Il dort… « Quoi ? » dit-il.", "Bon."]),
        ("de", "Das ist z. B. gut. Am 3. Mai.", ["Das ist z. B. gut.", "Am 3. Mai."]),
        ("en", "你好。我很好！", ["你好。", "我很好！"]),
    ],
)
def test_sentences_end_where_they_end(language: str, text: str, sentences: list[str]) -> None:
    assert [span.text for span in sentence_spans(text, language) if span.is_language] == sentences


def test_a_line_break_ends_a_sentence_and_is_kept() -> None:
    spans = sentence_spans("One line\r\n\r\nand another", "en")
    assert [span.text for span in spans if span.is_language] == ["One line", "and another"]
    assert "".join(span.text for span in spans if not span.is_language) == "\r\n\r\n"


@pytest.mark.parametrize(
    "text",
    ["", " ", "42", "3.5 %", "😅👍🏽", "https://example.org/a", "me@example.org", "-----", "a_b()"],
)
def test_what_is_no_language_is_copied(text: str) -> None:
    assert not is_language(text)


@pytest.mark.parametrize("text", ["Hello", "see https://example.org now", "3 dogs", "知行", "été"])
def test_words_are_language(text: str) -> None:
    assert is_language(text)
