import datetime
import math
from decimal import Decimal

import numpy as np
import pytest

from zhixing.data.cells import (
    Cells,
    Rules,
    are_whole_floats,
    build_table,
    is_blank,
    separator_of,
)
from zhixing.data.roles import LABELLED
from zhixing.data.table import Table
from zhixing.errors import DataError


class NAType:
    """As pandas' own NA: neither equal nor unequal to anything."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = None  # type: ignore[assignment]


def built(
    text: list[object],
    label: list[object] | None = None,
    *,
    pair: list[object] | None = None,
    weight: list[object] | None = None,
    rules: Rules = Rules(),
) -> Table:
    rows = [10 * i for i in range(1, len(text) + 1)]
    columns = {"text": "text"}
    cells = {"text": text, "pair": pair, "label": label, "weight": weight}
    by_role = {role: column for role, column in cells.items() if column is not None}
    return build_table(Cells("a.csv", rows, columns, by_role), rules, LABELLED)


def refusal(*arguments: object, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        built(*arguments, **options)  # type: ignore[arg-type]
    return str(caught.value)


def labels_of(*cells: object, rules: Rules = Rules()) -> object:
    return built(["a"] * len(cells), list(cells), rules=rules).labels


def test_texts_are_kept_exactly() -> None:
    text = '  "Quoted",\ttabbed \n很好 🙂 '
    assert built([text]).texts == [text]


@pytest.mark.parametrize("text", ["", " ", "\t\r\n", "\u00a0", "\u3000", "\u200b", " \ufeff "])
def test_a_text_that_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)
    assert refusal([text]) == ("a.csv: 1 text is blank (row 10); mend these rows or leave them out")


@pytest.mark.parametrize("text", [".", "0", "\u200ba", "…", "é"])
def test_a_text_that_shows_anything_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@pytest.mark.parametrize("cell", [None, math.nan, NAType()], ids=["None", "nan", "NA"])
def test_a_missing_text_is_blank(cell: object) -> None:
    assert "1 text is blank (row 20)" in refusal(["a", cell])


def test_blank_texts_are_kept_where_that_is_asked() -> None:
    table = built([" ", None, "a"], ["1", None, math.nan], rules=Rules(keep_blanks=True))
    assert table.texts == [" ", "", "a"]
    assert table.labels == ["1", "", ""]


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        (5, "a number"),
        (5.5, "a number"),
        (True, "true or false"),
        (["a"], "a list"),
        (b"a", "of type bytes"),
        ({"a": 1}, "of type dict"),
    ],
)
def test_a_text_has_to_be_a_string(cell: object, kind: str) -> None:
    assert f"1 text is {kind} where a string is needed (row 10)" in refusal([cell])
    keeping = Rules(keep_blanks=True)
    assert f"{kind} where a string is needed" in refusal([cell], rules=keeping)


def test_half_a_character_pair_is_refused() -> None:
    assert "1 text is broken (half of a character pair" in refusal(["a\ud83d"])
    assert "1 label is broken" in refusal(["a"], ["\udc00"])


def test_second_texts_are_checked_alike() -> None:
    assert built(["a"], pair=["b"]).pairs == ["b"]
    assert "1 second text is blank (row 20)" in refusal(["a", "b"], pair=["c", None])


def test_all_faults_are_told_at_once() -> None:
    assert refusal(
        ["", "b", "", 5], [1, None, 0, "x"], pair=["a", "", "c", "d"], weight=[1, 1, -1, 1]
    ) == (
        "a.csv: 2 texts are blank (rows 10 and 30); 1 text is a number where a string is needed "
        "(row 40); 1 second text is blank (row 20); 1 label is missing (row 20); 1 weight is "
        '"-1" where a number of at least 0 is needed (row 30); mend these rows or leave them out'
    )


def test_many_faulty_rows_are_counted() -> None:
    message = refusal([""] * 1000)
    assert "1,000 texts are blank (rows 10, 20, 30, 40, 50 and 995 more)" in message


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ("positive", "positive"),
        (" positive\t", "positive"),
        (5, "5"),
        (0, "0"),
        (-1, "-1"),
        (1.0, "1"),
        (0.5, "0.5"),
        (True, "true"),
        (False, "false"),
        (np.int64(3), "3"),
        (np.float32(2.0), "2"),
        (np.str_("x"), "x"),
        (Decimal("2"), "2"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (10**30, "1" + "0" * 30),
        ("None", "None"),
        ("NA", "NA"),
        ("很好", "很好"),
    ],
)
def test_labels_become_strings(cell: object, label: str) -> None:
    assert labels_of(cell) == [label]


@pytest.mark.parametrize(
    "cell", [None, math.nan, np.nan, NAType(), "", "  ", "nan", "NaN", "null", "NULL", "<NA>"]
)
def test_a_label_that_says_nothing_is_missing(cell: object) -> None:
    assert "1 label is missing (row 20)" in refusal(["a", "b"], ["x", cell])


def test_numeric_labels_may_have_gaps() -> None:
    assert labels_of(0, 1, 5) == ["0", "1", "5"]
    assert built(["a"] * 3, [5, 0, 1]).label_counts() == {"0": 1, "1": 1, "5": 1}


def test_infinite_labels_are_kept_as_names() -> None:
    assert labels_of(math.inf) == ["inf"]


def test_a_list_of_labels_wants_the_option() -> None:
    message = refusal(["a"], [["x", "y"]])
    assert "1 label is a list (multi_label=True takes one list a row) (row 10)" in message


def test_an_object_is_no_label() -> None:
    assert "1 label is of type dict where a name is needed (row 10)" in refusal(["a"], [{"x": 1}])


def test_whole_floats_are_written_whole_where_the_column_is() -> None:
    whole = Rules(whole_floats=True)
    assert labels_of("1.0", "0.00", "-2.0", rules=whole) == ["1", "0", "-2"]
    assert labels_of("1.0") == ["1.0"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.0", "0.0"], True),
        (["1.0", "", "nan", None], True),
        (["4.0", "4.5"], False),
        (["1.0", "x"], False),
        (["1", "0"], False),
        (["", "nan"], False),
        ([1.0, 2.0], False),
        ([], False),
    ],
)
def test_a_column_of_whole_floats_is_recognized(cells: list[object], expected: bool) -> None:
    assert are_whole_floats(cells) is expected


MULTI = Rules(multi_label=True)


def test_lists_of_labels_are_taken() -> None:
    assert labels_of(["x", 1], ("y",), [], rules=MULTI) == [("x", "1"), ("y",), ()]


def test_strings_are_split_at_the_separator() -> None:
    assert labels_of("x, y", "z", "", ",x,", rules=MULTI) == [("x", "y"), ("z",), (), ("x",)]
    bar = Rules(multi_label=True, separator="|")
    assert labels_of("Arts, crafts|Music", rules=bar) == [("Arts, crafts", "Music")]


def test_a_repeated_label_counts_once_and_the_order_stays() -> None:
    assert labels_of("b,a,b", rules=MULTI) == [("b", "a")]


def test_one_number_is_one_label() -> None:
    assert labels_of(3, 1.0, rules=MULTI) == [("3",), ("1",)]


def test_no_labels_differ_from_missing_labels() -> None:
    assert "1 label is missing (row 20)" in refusal(["a", "b"], [[], None], rules=MULTI)
    assert "1 label is missing (row 10)" in refusal(["a"], ["nan"], rules=MULTI)
    assert "1 label is missing (row 10)" in refusal(["a"], [["x", None]], rules=MULTI)
    keeping = Rules(multi_label=True, keep_blanks=True)
    assert labels_of(None, rules=keeping) == [()]


def test_a_multi_label_table_says_so() -> None:
    assert built(["a"], [["x"]], rules=MULTI).is_multi_label
    assert not built(["a"], rules=MULTI).is_multi_label
    assert not built(["a"], ["x"]).is_multi_label


@pytest.mark.parametrize(
    ("cells", "separator"),
    [(["a,b", "c|d"], "|"), (["a,b"], ","), (["a"], ","), ([["a|b"], None], ","), ([], ",")],
)
def test_the_separator_follows_from_the_column(cells: list[object], separator: str) -> None:
    assert separator_of(cells) == separator


def test_weights_are_numbers() -> None:
    assert built(["a"] * 4, weight=["1.5", 2, 0, np.float64(3)]).weights == [1.5, 2.0, 0.0, 3.0]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [("x", '"x"'), (-0.5, '"-0.5"'), (math.inf, '"inf"'), (None, "missing"), ([1], '"[1]"')],
)
def test_other_weights_are_refused(cell: object, shown: str) -> None:
    message = refusal(["a"], weight=[cell])
    assert f"1 weight is {shown} where a number of at least 0 is needed (row 10)" in message


def test_rows_source_and_columns_are_handed_on() -> None:
    table = built(["a", "b"])
    assert (table.rows, table.source, table.columns) == ([10, 20], "a.csv", {"text": "text"})
