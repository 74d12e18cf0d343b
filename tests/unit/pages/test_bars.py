import math
from dataclasses import dataclass

import pytest

from zhixing.pages.bars import Bar, bar_chart, reliability_diagram


@dataclass(frozen=True)
class Bin:
    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def test_a_bar_is_as_long_as_its_value(parse) -> None:
    tree = parse(bar_chart([Bar("one", 1), Bar("two", 2.0)], x_label="score").markup)
    first, second = (float(each.attributes["width"]) for each in tree.all("rect"))
    assert second == pytest.approx(2 * first, abs=0.2)


def test_bars_begin_at_zero_on_either_side(parse) -> None:
    tree = parse(bar_chart([Bar("down", -1.0), Bar("up", 1.0)], x_label="score").markup)
    down, up = (each.attributes for each in tree.all("rect"))
    end_of_down = float(down["x"]) + float(down["width"])
    assert end_of_down == pytest.approx(float(up["x"]), abs=0.11)
    assert float(tree.all("line", class_="axis")[0].attributes["x1"]) == float(up["x"])


def test_an_interval_is_a_whisker_that_the_pointer_reads(parse) -> None:
    tree = parse(bar_chart([Bar("a", 0.9, 0.85, 0.95), Bar("b", 0.8)], x_label="score").markup)
    (whisker,) = tree.all("path", class_="whisker")
    assert whisker.text == "0.85 to 0.95"


@pytest.mark.parametrize(("low", "high"), [(math.nan, 1.0), (None, 1.0), (0.5, math.inf)])
def test_half_an_interval_is_none(low: float | None, high: float | None, parse) -> None:
    tree = parse(bar_chart([Bar("a", 0.9, low, high)], x_label="score").markup)
    assert not tree.all("path", class_="whisker")
    assert len(tree.all("rect")) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_has_no_bar(value: float, parse) -> None:
    tree = parse(bar_chart([Bar("failed", value), Bar("b", 1.0)], x_label="score").markup)
    assert len(tree.all("rect")) == 1
    assert "failed" in tree.text


@pytest.mark.parametrize("bars", [[], [Bar("a", 0)], [Bar("a", math.nan)]])
def test_bars_without_a_length_have_an_axis(bars: list[Bar], parse) -> None:
    tree = parse(bar_chart(bars, x_label="score").markup)
    assert "1.0" in [each.text for each in tree.all("text")]
    assert ("no values" in tree.text) == (not bars)


def test_a_long_name_is_cut_and_kept_for_the_pointer(parse) -> None:
    name = "<a name that is far too long to be drawn beside a bar>"
    tree = parse(bar_chart([Bar(name, 1.0)], x_label="score", title="<t>").markup)
    (label,) = [each for each in tree.all("text", class_="strong") if "…" in each.text]
    assert label.text.startswith(name)
    assert len(label.text.removeprefix(name)) == 32


def test_each_filled_bin_is_a_bar_with_its_count_below(parse) -> None:
    bins = [Bin(0.0, 0.5, 0, 0.0, 0.0), Bin(0.5, 1.0, 20, 0.8, 0.75)]
    tree = parse(reliability_diagram(bins).markup)
    (title,) = tree.all("title")
    assert title.text == "0.5 to 1: 75.0 % right, 80.0 % sure, 20 rows"
    bar, count = tree.all("rect")[1:]  # The first is in the legend.
    assert float(bar.attributes["height"]) == pytest.approx(0.75 * (300 - 28), abs=0.1)
    assert float(count.attributes["height"]) == pytest.approx(60, abs=0.1)
    assert len(tree.all("line", class_="ideal")) == 2


def test_counts_are_drawn_to_one_scale(parse) -> None:
    bins = [Bin(0.0, 0.5, 5, 0.3, 0.2), Bin(0.5, 1.0, 20, 0.8, 0.75)]
    tree = parse(reliability_diagram(bins).markup)
    few, many = (float(each.attributes["height"]) for each in tree.all("rect", class_="f6"))
    assert many == pytest.approx(4 * few, abs=0.2)


@pytest.mark.parametrize(
    "bins", [[], [Bin(0.0, 1.0, 0, 0.0, 0.0)], [Bin(0.0, 1.0, 3, math.nan, 1.0)]]
)
def test_a_diagram_without_rows_says_so(bins: list[Bin], parse) -> None:
    assert "no values" in parse(reliability_diagram(bins).markup).text
