import pytest

from zhixing.errors import DataError
from zhixing.metrics.bleu import (
    lower_cased_bleu,
    text_differences,
    text_scores,
    translation_error_rate,
)
from zhixing.metrics.scripts import is_chinese

TEXTS = ["The cat sits on the mat .", "It is a very fine day today ."]


def test_what_is_equal_scores_a_hundred() -> None:
    scores = text_scores(TEXTS, TEXTS)
    assert scores.bleu == pytest.approx(100.0) and scores.chrf == pytest.approx(100.0)
    assert translation_error_rate(TEXTS, TEXTS) == 0.0
    assert lower_cased_bleu([text.upper() for text in TEXTS], TEXTS) == pytest.approx(100.0)


def test_the_signature_says_how_texts_were_parted() -> None:
    assert "tok:13a" in text_scores(TEXTS, TEXTS).bleu_signature
    chinese = ["今天天气很好。", "我喜欢读书。"]
    assert "tok:zh" in text_scores(chinese, chinese).bleu_signature


def test_an_interval_holds_the_score() -> None:
    written = [text.replace("cat", "dog").replace("fine", "good") for text in TEXTS * 20]
    scores = text_scores(written, TEXTS * 20, resamples=200)
    assert scores.bleu_interval is not None and scores.chrf_interval is not None
    assert scores.bleu_interval.low <= scores.bleu <= scores.bleu_interval.high
    assert scores.chrf_interval.low < scores.chrf_interval.high


def test_one_edit_in_ten_words_is_ten_points() -> None:
    reference = "one two three four five six seven eight nine ten"
    assert translation_error_rate([reference.replace("six", "x")], [reference]) == 10.0


def test_chinese_is_recognized() -> None:
    assert is_chinese(["知行合一"]) and not is_chinese(["Zhixing", "知"] * 3 + ["a" * 40])


def test_each_text_needs_a_reference() -> None:
    with pytest.raises(DataError, match="1 texts cannot be scored against 2 references"):
        text_scores(["a"], ["a", "b"])


def test_a_clear_difference_is_significant_and_none_is_not() -> None:
    references = [f"the cat number {i} sat on the mat and slept" for i in range(60)]
    broken = [
        text.replace("sat on", "lay by") if i % 2 else text for i, text in enumerate(references)
    ]
    better = text_differences(references, broken, references, resamples=200)
    assert [one.metric for one in better] == ["bleu", "chrf"]
    assert all(one.difference > 5 and one.p_value < 0.02 for one in better)
    worse = text_differences(broken, references, references, resamples=200)
    assert worse[0].difference == -better[0].difference
    assert worse[0].other == pytest.approx(100)
    same = text_differences(broken, broken, references, resamples=200)
    assert same[0].difference == 0
    assert same[0].p_value > 0.5
    with pytest.raises(DataError, match="59 texts"):
        text_differences(references, broken[1:], references)
