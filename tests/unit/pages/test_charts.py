import json
import math
import random

import pytest

from zhixing.errors import DataError
from zhixing.pages.charts import Marker, Series, histogram, line_chart


def points(polyline) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in polyline.attributes["points"].split()]


def lines_of(parse, *series: Series, **options):
    tree = parse(line_chart(series, x_label="step", y_label="loss", **options).markup)
    return tree, tree.all("polyline")


def test_a_series_is_one_line_through_its_points(parse) -> None:
    _, (line,) = lines_of(parse, Series("loss", [0, 1, 2], [2.0, 1.0, 0.0]))
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert x0 < x1 < x2
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 < y1 < y2  # Pixels count downwards.


def test_points_and_values_must_be_equally_many() -> None:
    with pytest.raises(DataError, match="series 'loss' has 2 x and 1 y"):
        Series("loss", [1, 2], [1.0])


@pytest.mark.parametrize("gap", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_a_gap(gap: float, parse) -> None:
    y = [1.0, 2.0, gap, 3.0, 4.0]
    tree, lines = lines_of(parse, Series("loss", list(range(5)), y))
    assert [len(points(line)) for line in lines] == [2, 2]
    assert tree.all("p", class_="gaps")[0].text == "1 of 5 values is not finite, and left out."
    assert "NaN" not in tree.all("svg")[0].attributes["data-series"]


def test_a_point_between_gaps_is_a_dot(parse) -> None:
    tree, lines = lines_of(parse, Series("loss", [0, 1, 2], [math.nan, 1.0, math.nan]))
    assert not lines
    assert len(tree.all("circle")) == 1


def test_one_point_is_a_dot_in_the_middle(parse) -> None:
    tree, _ = lines_of(parse, Series("loss", [7], [3.0]))
    (dot,) = tree.all("circle")
    assert float(dot.attributes["cx"]) == pytest.approx((66 + 664) / 2, abs=0.1)


def test_a_constant_series_is_a_level_line(parse) -> None:
    _, (line,) = lines_of(parse, Series("loss", [0, 1, 2], [5, 5, 5]))
    assert len({y for _, y in points(line)}) == 1


@pytest.mark.parametrize("series", [[], [Series("loss", [], [])], [Series("l", [1], [math.nan])]])
def test_a_chart_without_values_says_so(series: list[Series], parse) -> None:
    tree, lines = lines_of(parse, *series)
    assert not lines
    assert "no values" in tree.text


def test_many_points_make_a_small_file_and_keep_their_extremes(parse) -> None:
    generator = random.Random(0)
    y = [generator.gauss(0, 1) for _ in range(10_000)]
    y[1234], y[8765] = 50.0, -50.0
    chart = line_chart([Series("loss", list(range(10_000)), y)], x_label="s", y_label="l")
    assert len(chart.markup) < 60_000
    (line,) = parse(chart.markup).all("polyline")
    heights = [height for _, height in points(line)]
    # Both peaks reach to within the margin of the drawing area, 30 to 254 pixels.
    assert min(heights) < 40 and max(heights) > 244


def test_series_with_many_points_are_thin(parse) -> None:
    few, many = Series("few", [0, 1], [0, 1]), Series("many", list(range(500)), [1.0] * 500)
    _, lines = lines_of(parse, few, many)
    assert [line.attributes["class"] for line in lines] == ["series s0", "series s1 many"]


def test_a_marker_has_its_word_inside_the_chart(parse) -> None:
    series = Series("loss", [0, 10], [0.0, 1.0])
    markers = [Marker(1, 0.1, "<early>"), Marker(10, 1.0, "best")]
    tree, _ = lines_of(parse, series, markers=markers)
    first, second = tree.all("text", class_="strong halo")
    assert (first.text, first.attributes["text-anchor"]) == ("<early>", "start")
    assert (second.text, second.attributes["text-anchor"]) == ("best", "end")
    assert len(tree.all("circle", class_="mark")) == 2


def test_a_marker_without_a_place_is_left_out(parse) -> None:
    markers = [Marker(math.nan, 1.0, "nowhere"), Marker(0, math.inf, "above")]
    tree, _ = lines_of(parse, Series("l", [1, 2], [1, 2]), markers=markers)
    assert not tree.all("circle", class_="mark")


def test_the_script_finds_the_exact_values(parse) -> None:
    tree, _ = lines_of(parse, Series('a"<b>', [1, 2, 123456], [0.5, math.nan, 0.123456789]))
    (svg,) = tree.all("svg", class_="wide")
    assert json.loads(svg.attributes["data-series"]) == [
        {"name": 'a"<b>', "x": [1, 123456], "y": [0.5, 0.1234568]}
    ]
    assert json.loads(svg.attributes["data-axes"])["x"] == {
        "low": 1.0,
        "high": 123456.0,
        "label": "step",
    }


def test_labels_are_escaped(parse) -> None:
    chart = line_chart([Series("<s>", [1], [1])], x_label="<x>", y_label="<y>")
    assert not [e for e in parse(chart.markup).elements if e.tag in {"s", "x", "y"}]


def test_a_histogram_counts_between_round_edges(parse) -> None:
    tree = parse(histogram([0.01, 0.05, 0.07, 1.49], x_label="p").markup)
    assert [each.text for each in tree.all("title")] == [
        "0 to 0.05: 1",
        "0.05 to 0.1: 2",
        "1.45 to 1.5: 1",
    ]


def test_every_value_is_counted_once(parse) -> None:
    generator = random.Random(0)
    values = [round(generator.gauss(0, 3), 2) for _ in range(1_000)]
    titles = parse(histogram(values, x_label="z").markup).all("title")
    assert sum(int(each.text.rpartition(": ")[2]) for each in titles) == 1_000
    assert len(titles) <= 61


def test_whole_numbers_get_bins_of_a_whole_width(parse) -> None:
    tree = parse(histogram([1, 1, 2, 4], x_label="tokens").markup)
    assert [each.text for each in tree.all("title")] == ["1 to 2: 2", "2 to 3: 1", "4 to 5: 1"]


def test_equal_values_are_one_bar(parse) -> None:
    assert len(parse(histogram([7, 7, 7], x_label="tokens").markup).all("rect")) == 1


def test_a_histogram_leaves_out_what_is_not_finite(parse) -> None:
    tree = parse(histogram([1.0, math.nan, math.inf], x_label="x").markup)
    assert "2 of 3 values are not finite, and left out." in tree.text
    assert len(tree.all("rect")) == 1


def test_an_empty_histogram_says_so(parse) -> None:
    assert "no values" in parse(histogram([], x_label="x").markup).text
