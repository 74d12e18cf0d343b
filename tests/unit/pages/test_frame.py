import pytest

from zhixing.pages.axes import Axis
from zhixing.pages.frame import (
    bottom_axis,
    drawing,
    figure,
    left_axis,
    legend,
    line_sample,
    no_values,
    series_style,
    shorten,
    text_width,
)
from zhixing.pages.style import NUM_SERIES_COLOURS


def test_a_figure_escapes_its_title_and_note(parse) -> None:
    tree = parse(figure("<svg></svg>", title="<a>", note="<b>").markup)
    assert tree.all("figcaption")[0].text == "<a>"
    assert tree.all("p", class_="gaps")[0].text == "<b>"


def test_a_figure_without_title_and_note_has_none(parse) -> None:
    tree = parse(figure("<svg></svg>").markup)
    assert [each.tag for each in tree.elements] == ["figure", "svg"]


def test_a_drawing_has_a_name_for_screen_readers(parse) -> None:
    (svg,) = parse(drawing(no_values(100, 50), 100, 50, 'loss "by" step')).all("svg")
    assert svg.attributes["aria-label"] == 'loss "by" step'
    assert svg.attributes["viewbox"] == "0 0 100 50"
    assert svg.text == "no values"


def test_only_a_wide_drawing_grows_its_letters(parse) -> None:
    assert parse(drawing("", 680, 300, "")).all("svg", class_="wide")
    assert not parse(drawing("", 420, 300, "")).all("svg", class_="wide")


def test_axes_write_their_ticks_and_names(parse) -> None:
    axis = Axis(0.0, 1.0, 0.0, 100.0)
    for markup in (bottom_axis(axis, 0, 50, "<x>"), left_axis(axis, 0, 50, "<x>")):
        texts = [each.text for each in parse(markup).all("text")]
        assert texts == ["0", "0.2", "0.4", "0.6", "0.8", "1.0", "<x>"]


def test_series_differ_by_more_than_colour() -> None:
    styles = [series_style(i) for i in range(NUM_SERIES_COLOURS)]
    dashes = {style.partition("stroke-dasharray")[2] for style in styles}
    assert len(dashes) == NUM_SERIES_COLOURS


def test_more_series_than_colours_start_over() -> None:
    assert series_style(NUM_SERIES_COLOURS) == series_style(0)


def test_a_thin_series_is_marked_so() -> None:
    assert series_style(0, is_thin=True) == 'class="series s0 many"'


def test_one_entry_needs_no_legend() -> None:
    assert legend([("loss", line_sample(0))]) == ""


def test_a_legend_escapes_its_names(parse) -> None:
    tree = parse(legend([("<one>", line_sample(0)), ("two", line_sample(1))]))
    assert [each.text for each in tree.all("span")] == ["<one>", "two"]


def test_wide_characters_take_two_columns() -> None:
    assert text_width("ab知行") == 6


@pytest.mark.parametrize(
    ("text", "short"),
    [("abcd", "abcd"), ("abcde", "abc…"), ("知行", "知行"), ("知行合一", "知…"), ("", "")],
)
def test_a_name_is_cut_to_its_columns(text: str, short: str) -> None:
    assert shorten(text, 4) == short
    assert text_width(short) <= 4
