import json
import math

import pytest

from zhixing.errors import DataError
from zhixing.pages.heat_map import HeatMap, heat_map, heat_maps


def cells_of(path) -> int:
    return path.attributes["d"].count("M")


def written_in(tree) -> list[str]:
    return [e.text for e in tree.all("text") if e.attributes.get("class", "").startswith("value")]


def test_each_value_is_a_cell_and_zero_is_none(parse) -> None:
    tree = parse(heat_map([[9, 1], [0, 12]], ["a", "b"], ["c", "d"]).markup)
    assert sum(cells_of(each) for each in tree.all("path")) == 3
    assert written_in(tree) == ["9", "1", "12"]


def test_a_larger_value_is_never_lighter(parse) -> None:
    values = [[float(i) for i in range(1, 31)]]
    tree = parse(heat_map(values, ["row"], [str(i) for i in range(30)]).markup)
    shade = {}
    for path in tree.all("path"):
        for column in path.attributes["d"].split("M")[1:]:
            shade[int(column.split()[0])] = float(path.attributes["fill-opacity"])
    ordered = [shade[i] for i in range(30)]
    assert ordered == sorted(ordered)
    assert ordered[-1] == 1.0


def test_mistakes_have_their_own_colour(parse) -> None:
    names = ["a", "b"]
    tree = parse(heat_map([[9, 1], [2, 12]], names, names, mark_errors=True).markup)
    off = [each for each in tree.all("path") if each.attributes.get("class") == "off"]
    assert sum(cells_of(each) for each in off) == 2
    assert sum(cells_of(each) for each in tree.all("path")) == 4


def test_values_below_zero_have_the_second_colour(parse) -> None:
    tree = parse(heat_map([[-4.0, 4.0]], ["a"], ["b", "c"]).markup)
    assert [each.attributes.get("class") for each in tree.all("path")] == [None, "off"]


@pytest.mark.parametrize("gap", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_an_empty_cell(gap: float, parse) -> None:
    tree = parse(heat_map([[1.0, gap]], ["a"], ["b", "c"]).markup)
    assert sum(cells_of(each) for each in tree.all("path")) == 1
    assert json.loads(tree.all("svg")[0].attributes["data-values"]) == [[1, None]]


def test_thirty_classes_have_their_numbers_written_and_more_have_not(parse) -> None:
    for size, is_written in ((30, True), (31, False)):
        names = [f"class {i}" for i in range(size)]
        values = [[1] * size for _ in names]
        assert bool(written_in(parse(heat_map(values, names, names).markup))) == is_written


def test_77_classes_fit_a_page_and_a_small_file(parse) -> None:
    names = [f"an_intent_with_a_long_name_{i}" for i in range(77)]
    values = [[40 if i == j else (i * j) % 3 for j in range(77)] for i in range(77)]
    markup = heat_map(values, names, names, mark_errors=True).markup
    assert len(markup) < 150_000
    (svg,) = parse(markup).all("svg")
    assert float(svg.attributes["width"]) < 68 * 16
    texts = [each.text for each in parse(markup).all("text")]
    assert sum(text.startswith("an_intent") for text in texts) == 2 * 77


@pytest.mark.parametrize(
    ("value", "written"),
    [(1234, "1,234"), (56789, "57k"), (0.07, ".07"), (-0.5, "−.50"), (1.2345, "1.23"), (2.0, "2")],
)
def test_numbers_fit_their_cells(value: float, written: str, parse) -> None:
    assert written_in(parse(heat_map([[value]], ["a"], ["b"]).markup)) == [written]


def test_a_number_that_rounds_to_zero_is_shaded_but_not_written(parse) -> None:
    tree = parse(heat_map([[0.9, 0.001]], ["a"], ["b", "c"]).markup)
    assert written_in(tree) == [".90"]
    assert sum(cells_of(each) for each in tree.all("path")) == 2


def test_numbers_on_dark_cells_have_a_light_ink(parse) -> None:
    tree = parse(heat_map([[100, 49, 1]], ["a"], ["b", "c", "d"]).markup)
    inks = [e.attributes["class"] for e in tree.all("text") if e.text in {"100", "49", "1"}]
    assert inks == ["value on", "value mid", "value"]


def test_the_scale_names_whole_counts_for_counts(parse) -> None:
    tree = parse(heat_map([[45, 1]], ["a"], ["b", "c"]).markup)
    (scale,) = tree.all("div", class_="shades")
    assert [each.text for each in tree.all("span")] == ["1", "5", "11", "22", "45"]
    assert scale.text == "15112245"


def test_a_map_of_zeros_has_no_scale(parse) -> None:
    tree = parse(heat_map([[0, 0]], ["a"], ["b", "c"]).markup)
    assert not tree.all("div", class_="shades")
    assert not tree.all("path")


def test_an_empty_map_is_drawn_empty(parse) -> None:
    assert parse(heat_map([], [], []).markup).all("svg")


def test_names_are_escaped_and_cut_and_kept_for_the_pointer(parse) -> None:
    name = '<b onclick="x">' * 5
    markup = heat_map([[1]], [name], ["知行"], row_label="<r>", column_label="<c>").markup
    tree = parse(markup)
    assert not tree.all("b")
    assert json.loads(tree.all("div", class_="heat")[0].attributes["data-names"]) == {
        "rows": [name],
        "columns": ["知行"],
        "row": "<r>",
        "column": "<c>",
    }
    assert {"知行", "<r>", "<c>"} <= {each.text for each in tree.all("text")}


def test_values_must_fit_the_names() -> None:
    with pytest.raises(DataError, match="the heat map has 1 rows of values and 2 row names"):
        heat_map([[1]], ["a", "b"], ["c"])
    with pytest.raises(DataError, match="row 1 of the heat map has 1 values, .* 2 column names"):
        heat_map([[1, 2], [3]], ["a", "b"], ["c", "d"])
    with pytest.raises(DataError, match="heat map 'head 2' has 0 rows of values and 1 row names"):
        heat_maps([HeatMap("head 1", [[1]]), HeatMap("head 2", [])], ["a"], ["b"])


def test_several_maps_share_one_scale(parse) -> None:
    maps = [HeatMap("<head 1>", [[1.0]]), HeatMap("head 2", [[0.25]])]
    tree = parse(heat_maps(maps, ["own"], ["seen"], row_label="token").markup)
    assert [each.text for each in tree.all("figcaption")] == ["<head 1>", "head 2"]
    strong, weak = (float(each.attributes["fill-opacity"]) for each in tree.all("path"))
    assert strong == 1.0
    assert weak == pytest.approx(0.52)
    assert len(tree.all("div", class_="heats")) == 1


def test_names_that_could_not_be_read_are_left_to_the_pointer(parse) -> None:
    for size, is_named in ((20, True), (40, False)):
        names = [f"t{i}" for i in range(size)]
        values = [[1.0] * size for _ in names]
        tree = parse(heat_maps([HeatMap("head", values)], names, names).markup)
        assert bool(tree.all("text")) == is_named
        kept = json.loads(tree.all("div", class_="heats")[0].attributes["data-names"])
        assert kept["rows"] == names


def test_twelve_heads_over_64_tokens_make_a_small_file() -> None:
    names = [f"token{i}" for i in range(64)]
    values = [[math.exp(-abs(i - j)) / 2 for j in range(64)] for i in range(64)]
    markup = heat_maps([HeatMap(f"head {i}", values) for i in range(12)], names, names).markup
    assert len(markup) < 1_200_000


def test_no_maps_are_said_to_be_none(parse) -> None:
    assert "No maps." in parse(heat_maps([], ["a"], ["b"]).markup).text
