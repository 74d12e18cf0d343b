import re

import pytest

from zhixing.pages.charts import Series, line_chart
from zhixing.pages.heat_map import heat_map
from zhixing.pages.page import render_page
from zhixing.pages.script import SCRIPT
from zhixing.pages.tables import table


@pytest.mark.parametrize(
    "word", ["innerHTML", "insertAdjacentHTML", "document.write", "eval", "fetch", "http", "import"]
)
def test_the_script_neither_writes_markup_nor_loads_anything(word: str) -> None:
    assert word not in SCRIPT


def test_the_script_cannot_end_its_element_early() -> None:
    assert "</" not in SCRIPT and "<!--" not in SCRIPT


@pytest.mark.parametrize(("left", "right"), ["()", "[]", "{}"])
def test_every_bracket_is_closed(left: str, right: str) -> None:
    assert SCRIPT.count(left) == SCRIPT.count(right)


def test_everything_the_script_looks_for_is_drawn(parse) -> None:
    parts = [
        line_chart([Series("a", [1], [1])], x_label="x", y_label="y"),
        heat_map([[1]], ["a"], ["b"]),
        table(["a"], [[1]]),
    ]
    drawn = {
        attribute.removeprefix("data-")
        for part in parts
        for element in parse(part.markup).elements
        for attribute in element.attributes
        if attribute.startswith("data-")
    }
    read = set(re.findall(r"dataset\.(\w+)", SCRIPT)) | set(re.findall(r"\[data-(\w+)\]", SCRIPT))
    assert read == drawn
    tree = parse(parts[0].markup)
    assert len(tree.all("line", class_="rule")) == 1
    assert len(parse(parts[2].markup).all("button")) == 1
    assert len(parse(render_page("t", "", [])).all("div", id="tip")) == 1
