import re

import pytest

from zhixing.pages.bars import Bar, bar_chart, reliability_diagram
from zhixing.pages.charts import Marker, Series, histogram, line_chart
from zhixing.pages.heat_map import HeatMap, heat_map, heat_maps
from zhixing.pages.html import paragraph, side_by_side
from zhixing.pages.style import NUM_SERIES_COLOURS, STYLE
from zhixing.pages.tables import Quote, code_block, key_values, quote_list, table


def all_parts() -> str:
    series = [Series(f"s{i}", [1, 2], [i, i + 1]) for i in range(NUM_SERIES_COLOURS)]
    series.append(Series("many", list(range(400)), [float("nan")] + [1.0] * 399))
    parts = [
        paragraph("text"),
        line_chart(series, x_label="x", y_label="y", markers=[Marker(1, 1, "best")]),
        histogram([1, 2, float("nan")], x_label="x"),
        bar_chart([Bar("a", 0.5, 0.4, 0.6)], x_label="x"),
        reliability_diagram([]),
        table(["a", "b"], [["word " * 100, 1]]),
        table(["a"], []),
        key_values([("a", 1)]),
        code_block("code"),
        quote_list([Quote("text", "a", "b", 0.5)]),
        heat_map([[10, 6, 1], [0, 1, 2]], ["a", "b"], ["c", "d", "e"], mark_errors=True),
        heat_maps([HeatMap("head", [[1]])], ["a"], ["b"]),
    ]
    return side_by_side(parts).markup


def test_every_class_that_is_drawn_has_a_style(parse) -> None:
    elements = parse(all_parts()).elements
    used = {name for each in elements for name in each.attributes.get("class", "").split()}
    assert used >= {"chart", "heat", "heats", "quotes", "shades", "whisker", "ideal", "many"}
    # `sortable` is for the script alone.
    missing = {name for name in used if not re.search(rf"\.{name}\b", STYLE)} - {"sortable"}
    assert not missing


def test_every_colour_that_is_used_is_defined_in_both_schemes() -> None:
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")[:2]
    used = set(re.findall(r"var\(--([\w-]+)\)", STYLE))
    for scheme in (light, dark.split("}")[0]):
        assert used <= set(re.findall(r"--([\w-]+):", scheme))


def test_every_brace_is_closed() -> None:
    assert STYLE.count("{") == STYLE.count("}")


def test_paper_is_light_whatever_the_screen_is() -> None:
    printed = STYLE.partition("@media print")[2]
    assert "--ink: #1c1d21" in printed
    assert "--paper: #fff;" in printed


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_colours_have_contrast(scheme: int) -> None:
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")[:2]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", (light, dark.split("}")[0])[scheme]))
    paper = colours["paper"]
    assert contrast(colours["ink"], paper) >= 7
    for name in ("soft", "accent", "right", "wrong"):
        assert contrast(colours[name], paper) >= 4.5, name
    for name in (f"s{i}" for i in range(7)):
        assert contrast(colours[name], paper) >= 3, name
