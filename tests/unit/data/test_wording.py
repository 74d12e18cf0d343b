import pytest

from zhixing.data.wording import clipped, counted, joined, numbered, quoted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1500, "1,500 rows")]
)
def test_a_count_agrees_with_its_noun(number: int, text: str) -> None:
    assert counted(number, "row") == text


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([3], "row 3"),
        ([3, 4], "rows 3 and 4"),
        ([1, 2, 3, 4, 5], "rows 1, 2, 3, 4 and 5"),
        ([1, 2, 3, 4, 5, 6], "rows 1, 2, 3, 4, 5 and 1 more"),
    ],
)
def test_the_first_five_rows_are_named(rows: list[int], text: str) -> None:
    assert numbered(rows) == text


def test_rows_that_are_counted_but_not_listed_are_told() -> None:
    assert numbered([1, 2], total=2000) == "rows 1, 2 and 1,998 more"
    assert numbered([1], total=2) == "rows 1 and 1 more"
    assert numbered([7], "line") == "line 7"


def test_few_items_are_joined_as_they_are_spoken() -> None:
    assert [joined(items) for items in ([], ["a"], ["a", "b"])] == ["", "a", "a and b"]


def test_many_names_are_cut_with_their_number() -> None:
    assert quoted([str(i) for i in range(14)]).endswith('"11" and 2 more')
    assert quoted(["a"]) == '"a"'


def test_a_long_or_broken_value_becomes_one_short_line() -> None:
    assert clipped("a\r\n\tb") == "a b"
    assert clipped("x" * 10**6) == "x" * 40 + "…"
