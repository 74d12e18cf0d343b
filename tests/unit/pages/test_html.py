import math

import pytest

from zhixing.pages.html import (
    Html,
    collapsible,
    escape,
    format_number,
    paragraph,
    scientific,
    side_by_side,
)


def test_markup_in_text_is_made_harmless() -> None:
    assert escape("<script>&'\"") == "&lt;script&gt;&amp;&#x27;&quot;"


def test_characters_that_a_page_cannot_hold_are_replaced() -> None:
    assert escape("a\x00b\ud800c\x1b") == "a\ufffdb\ufffdc\ufffd"
    assert escape("tab\tline\n知行 🙂") == "tab\tline\n知行 🙂"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (0.0, "0"),
        (-7, "−7"),
        (1234567, "1,234,567"),
        (10**400, f"{10**400:,}"),
        (3.0, "3"),
        (1.5, "1.5"),
        (0.25, "0.25"),
        (-0.25, "−0.25"),
        (98760.4, "98,760"),
        (12.3456, "12.35"),
        (0.0123456, "0.01235"),
        (0.00012345, "1.234e-4"),
        (1.23456e20, "1.235e20"),
        (-1.5e-7, "−1.5e-7"),
        (math.nan, "–"),
        (None, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_a_number_is_written_for_people(value: float | None, written: str) -> None:
    assert format_number(value) == written


@pytest.mark.parametrize(("value", "written"), [(1e-5, "1e-5"), (1e10, "1e10"), (2.5e3, "2.5e3")])
def test_a_power_of_ten_has_no_digit_too_many(value: float, written: str) -> None:
    assert scientific(value) == written


def test_a_paragraph_is_escaped() -> None:
    assert "&lt;b&gt;" in paragraph("<b>").markup


def test_parts_side_by_side_are_kept_as_they_are(parse) -> None:
    tree = parse(side_by_side([Html("<p>one</p>"), Html("<p>two</p>")]).markup)
    assert [each.text for each in tree.all("p")] == ["one", "two"]


def test_a_short_text_is_whole(parse) -> None:
    tree = parse(collapsible("short").markup)
    assert not tree.all("details")
    assert tree.text == "short"


def test_a_long_text_folds_and_loses_nothing(parse) -> None:
    text = "one two three " * 30
    tree = parse(collapsible(text).markup)
    (summary,) = tree.all("summary")
    assert summary.text == "one two three " * 19 + "one two … all 420 characters"
    assert tree.all("div", class_="text")[0].text == text


@pytest.mark.parametrize("text", ["x" * 300, " " * 300, "知" * 300])
def test_a_long_text_without_words_folds(text: str, parse) -> None:
    tree = parse(collapsible(text).markup)
    assert tree.all("div", class_="text")[0].text == text
