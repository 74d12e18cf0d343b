import math

import pytest

from zhixing.errors import DataError
from zhixing.pages.html import Html
from zhixing.pages.tables import Quote, code_block, key_values, quote_list, table

HOSTILE = '<img src=x onerror="alert(1)">'


def test_a_table_has_its_cells_in_order(parse) -> None:
    tree = parse(table(["class", "rows"], [["spam", 3], ["ham", 4]]).markup)
    assert [each.text for each in tree.all("th")] == ["class", "rows"]
    assert [each.text for each in tree.all("td")] == ["spam", "3", "ham", "4"]


def test_text_in_a_table_is_escaped(parse) -> None:
    tree = parse(table([HOSTILE], [[HOSTILE]]).markup)
    assert not tree.all("img")
    assert tree.text.count(HOSTILE) == 2


def test_safe_markup_in_a_cell_is_kept(parse) -> None:
    assert parse(table(["a"], [[Html("<b>bold</b>")]]).markup).all("b")[0].text == "bold"


def test_columns_of_numbers_stand_right(parse) -> None:
    rows = [["a", 1, None, True], ["b", 2.5, None, False]]
    tree = parse(table(["text", "number", "nothing", "claim"], rows).markup)
    assert [each.attributes.get("class", "") for each in tree.all("th")] == ["", "r", "", ""]


def test_a_row_that_does_not_fit_is_named() -> None:
    with pytest.raises(DataError, match="row 1 of the table has 1 cells, but there are 2 columns"):
        table(["a", "b"], [[1, 2], [3]])


def test_fractions_of_a_column_have_equally_many_decimals(parse) -> None:
    rows = [[0.5], [0.125], [-1.0], [3], [1e-9], [math.inf], [math.nan]]
    cells = parse(table(["F1"], rows).markup).all("td")
    assert [each.text for each in cells] == ["0.500", "0.125", "−1.000", "3", "1e-9", "∞", "–"]


def test_numbers_sort_by_their_full_value(parse) -> None:
    rows = [[0.123456789], [12345], [True], [None], [math.nan], ["text"]]
    cells = parse(table(["a"], rows).markup).all("td")
    keys = [each.attributes.get("data-sort") for each in cells]
    assert keys == ["0.123456789", "12345", "1", None, None, None]


def test_a_table_without_rows_says_so(parse) -> None:
    assert "No rows." in parse(table(["a"], []).markup).text


def test_a_long_text_in_a_cell_folds(parse) -> None:
    tree = parse(table(["a", "b"], [["word " * 100, "short"]]).markup)
    assert len(tree.all("details")) == 1


def test_values_stand_under_their_names(parse) -> None:
    tree = parse(key_values([("rows", 1234), ("<b>", HOSTILE), ("ok", True), ("f1", None)]).markup)
    assert [each.text for each in tree.all("dt")] == ["rows", "<b>", "ok", "f1"]
    assert [each.text for each in tree.all("dd")] == ["1,234", HOSTILE, "yes", "–"]


def test_code_keeps_its_spaces(parse) -> None:
    text = 'if a < b:\n    print("<b>")'
    assert parse(code_block(text).markup).all("code")[0].text == text


def test_a_quote_tells_what_it_is_and_what_it_was_taken_for(parse) -> None:
    tree = parse(quote_list([Quote("a film", "good", "bad", 0.987)]).markup)
    assert tree.all("div", class_="verdict")[0].text == "is good · taken for bad · 98.7 % sure"
    assert [each.attributes["class"] for each in tree.all("b")] == ["right", "wrong"]


@pytest.mark.parametrize("confidence", [None, math.nan])
def test_a_quote_without_confidence_claims_none(confidence: float | None, parse) -> None:
    tree = parse(quote_list([Quote("a film", "good", "good", confidence)]).markup)
    assert tree.all("div", class_="verdict")[0].text == "is good · taken for good"
    assert [each.attributes["class"] for each in tree.all("b")] == ["right", "right"]


def test_quotes_are_escaped_and_fold(parse) -> None:
    tree = parse(quote_list([Quote(HOSTILE * 30, HOSTILE, HOSTILE, 1)]).markup)
    assert not tree.all("img")
    assert tree.all("details")[0].text.count(HOSTILE) >= 30


def test_no_quotes_are_said_to_be_none(parse) -> None:
    assert "No texts." in parse(quote_list([]).markup).text
