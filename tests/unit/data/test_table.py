import pytest
from tables import make_table

from zhixing.data.roles import Columns
from zhixing.data.table import (
    Table,
    are_numbers,
    check_validation_labels,
    concatenate,
    unknown_labels,
)
from zhixing.errors import DataError


def table(
    texts: list[str],
    labels: list[str] | list[tuple[str, ...]] | None = None,
    *,
    pairs: list[str] | None = None,
    weights: list[float] | None = None,
    source: str = "<list>",
    multi: bool = False,
) -> Table:
    named = {"text": "text"}
    return make_table(
        texts, labels, pairs=pairs, weights=weights, source=source, multi=multi, columns=named
    )


def test_columns_are_found_by_name_unless_they_are_given() -> None:
    assert Columns() == Columns(text=None, pair=None, label=None, weight=None)


def test_an_uneven_table_is_refused_with_its_sizes() -> None:
    with pytest.raises(DataError) as caught:
        make_table(["a", "b"], ["1"])
    assert str(caught.value) == (
        "a table of 2 texts, 1 labels, 2 rows is uneven: give as many of each"
    )


def test_selected_rows_keep_everything_and_their_numbers() -> None:
    whole = table(["a", "b", "c"], ["1", "0", "1"], pairs=["x", "y", "z"], weights=[1.0, 2.0, 3.0])
    part = whole.select([2, 0])
    assert (part.texts, part.pairs, part.labels) == (["c", "a"], ["z", "x"], ["1", "1"])
    assert (part.rows, part.weights, part.source) == ([3, 1], [3.0, 1.0], "<list>")
    assert part.columns == {"text": "text"}
    assert len(part) == 2


def test_selecting_keeps_what_there_is_not() -> None:
    part = table(["a", "b"]).select([1])
    assert (part.pairs, part.labels, part.weights) == (None, None, None)


def test_selecting_nothing_gives_an_empty_table_of_the_same_kind() -> None:
    empty = table(["a"], [("x",)], multi=True).select([])
    assert len(empty) == 0
    assert empty.labels == [] and empty.is_multi_label


def test_row_labels_are_tuples_in_every_kind_of_table() -> None:
    assert table(["a", "b"]).row_labels() == [(), ()]
    assert table(["a", "b"], ["x", "y"]).row_labels() == [("x",), ("y",)]
    assert table(["a", "b"], [("x", "y"), ()], multi=True).row_labels() == [("x", "y"), ()]


def test_labels_are_counted_numbers_first_and_by_size() -> None:
    counted = table(list("abcdef"), ["10", "b", "9", "-1", "a", "9"]).label_counts()
    assert list(counted.items()) == [("-1", 1), ("9", 2), ("10", 1), ("a", 1), ("b", 1)]


def test_missing_labels_are_not_counted() -> None:
    assert table(["a", "b"], ["", "x"]).label_counts() == {"x": 1}
    assert table(["a"]).label_counts() == {}


def test_every_label_of_a_row_counts() -> None:
    counted = table(["a", "b"], [("x", "y"), ("y",)], multi=True).label_counts()
    assert counted == {"x": 1, "y": 2}


def test_a_label_of_many_digits_is_a_name() -> None:
    assert not are_numbers(["1" * 5000])
    assert table(["a"], ["1" * 5000]).label_counts() == {"1" * 5000: 1}
    assert are_numbers(["0", "-3"]) and not are_numbers(["1", "one"])


def test_the_fingerprint_is_of_the_contents_only() -> None:
    one = make_table(["a"], ["1"], source="a.csv", columns={"text": "text"})
    other = make_table(["a"], ["1"], rows=[7], source="b.jsonl", columns={"text": "review"})
    assert one.fingerprint() == other.fingerprint()
    assert len(one.fingerprint()) == 64


def test_the_fingerprint_does_not_change_between_versions() -> None:
    # Training records hold it; a change of the recipe would make every resumed run refuse its data.
    found = table(["a", "很好"], ["1", "0"]).fingerprint()
    assert found == "36bc3551de6944c8197dd9d42fb3125ef879d600801ced50bb310f1a92b20e1f"


def test_any_change_of_contents_changes_the_fingerprint() -> None:
    tables = [
        table(["ab", "c"]),
        table(["a", "bc"]),
        table(["c", "ab"]),
        table(["ab", "c"], ["1", "0"]),
        table(["ab", "c"], ["0", "1"]),
        table(["ab", "c"], pairs=["1", "0"]),
        table(["ab", "c"], [("1",), ("0",)], multi=True),
        table(["ab", "c"], [("1", "0"), ()], multi=True),
        table(["ab", "c"], weights=[1.0, 0.0]),
        table(["ab", "c"], weights=[1.0, 0.5]),
    ]
    assert len({one.fingerprint() for one in tables}) == len(tables)


def test_tables_are_joined_in_order() -> None:
    one = table(["a"], ["1"], pairs=["x"], weights=[1.0], source="a.csv")
    two = table(["b", "c"], ["0", "1"], pairs=["y", "z"], weights=[2.0, 3.0], source="b.csv")
    joined = concatenate([one, two])
    assert (joined.texts, joined.pairs, joined.labels) == (
        ["a", "b", "c"],
        ["x", "y", "z"],
        ["1", "0", "1"],
    )
    assert (joined.weights, joined.rows, joined.source) == ([1.0, 2.0, 3.0], [1, 1, 2], "a.csv")


def test_joining_keeps_the_kind_of_labels() -> None:
    multi = concatenate([table(["a"], [("x",)], multi=True), table(["b"], [()], multi=True)])
    assert multi.labels == [("x",), ()] and multi.is_multi_label
    assert concatenate([table(["a"]), table(["b"])]).labels is None


def test_numbers_against_words_are_called_so() -> None:
    train = table(["a", "b"], ["0", "1"], source="train.csv")
    validation = table(["c", "d", "e"], ["neg", "pos", "neg"], source="validation.csv")
    with pytest.raises(DataError) as caught:
        check_validation_labels(train, validation)
    assert str(caught.value) == (
        'validation.csv has 2 labels that train.csv lacks: "neg" (row 1) and "pos" (row 2), where '
        'training has "0", "1"; training labels are numbers and these are words: label both '
        "tables alike"
    )
    assert "training labels are words and these are numbers" in str(
        unknown_labels(validation, train)
    )


def test_a_single_strange_label_is_named_with_its_row() -> None:
    train = table(["a", "b"], ["good", "bad"], source="train.csv")
    message = unknown_labels(train, table(["c", "d"], ["good", "godo"], source="v.csv"))
    assert message is not None
    assert 'v.csv has 1 label that train.csv lacks: "godo" (row 2)' in message
    assert message.endswith("label both tables alike, or leave these rows out")


def test_many_strange_labels_are_cut_short() -> None:
    train = table(["a"], ["x"])
    message = unknown_labels(train, table(list("abcdefg"), list("abcdefg")))
    assert message is not None and '"e" (row 5) and 2 more' in message


def test_known_missing_and_absent_labels_pass() -> None:
    train = table(["a", "b"], ["0", "1"])
    check_validation_labels(train, table(["c"], ["1"]))
    check_validation_labels(train, table(["c"], [""]))
    check_validation_labels(train, table(["c"]))
    assert unknown_labels(train, table(["c"], ["0"])) is None
