import pytest

from zhixing.data.columns import find_columns, is_known
from zhixing.data.roles import (
    LABEL_NAMES,
    LABELLED,
    MAYBE_LABELLED,
    PAIR_NAMES,
    TEXT_NAMES,
    Columns,
)
from zhixing.errors import DataError


def found(names: list[str], columns: Columns = Columns(), **options: bool) -> dict[str, str]:
    return find_columns(
        names,
        columns,
        source="a.csv",
        roles=LABELLED if options.get("needs_labels", True) else MAYBE_LABELLED,
        multi_label=options.get("multi_label", False),
    )


def refusal(names: list[str], columns: Columns = Columns(), **options: bool) -> str:
    with pytest.raises(DataError) as caught:
        found(names, columns, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", TEXT_NAMES)
def test_every_known_name_of_a_text_is_found(name: str) -> None:
    assert found([name, "label"]) == {"text": name, "label": "label"}


@pytest.mark.parametrize("name", LABEL_NAMES)
def test_every_known_name_of_a_label_is_found(name: str) -> None:
    assert found(["text", name]) == {"text": "text", "label": name}


@pytest.mark.parametrize("name", PAIR_NAMES)
def test_every_known_name_of_a_second_text_is_found(name: str) -> None:
    assert found(["text", name, "label"]) == {"text": "text", "pair": name, "label": "label"}


def test_no_name_has_two_roles() -> None:
    names = [*TEXT_NAMES, *PAIR_NAMES, *LABEL_NAMES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["premise", "hypothesis", "label"], ("premise", "hypothesis", "label")),
        (["sentence1", "sentence2", "class"], ("sentence1", "sentence2", "class")),
        (["question1", "question2", "target"], ("question1", "question2", "target")),
    ],
)
def test_usual_pair_sets_are_understood(names: list[str], expected: tuple[str, ...]) -> None:
    columns = found(names)
    assert (columns["text"], columns["pair"], columns["label"]) == expected


def test_case_and_blanks_of_a_name_do_not_matter() -> None:
    assert found([" Text ", "LABEL"]) == {"text": " Text ", "label": "LABEL"}


def test_the_own_name_of_a_role_wins() -> None:
    assert found(["content", "text", "Text", "label", "class"]) == {
        "text": "text",
        "label": "label",
    }


def test_labels_wins_over_label_where_there_are_many() -> None:
    assert found(["text", "label", "labels"], multi_label=True)["label"] == "labels"
    assert found(["text", "label", "labels"])["label"] == "label"


def test_a_translation_table_is_read_as_text_and_label() -> None:
    assert found(["source", "target", "origin"]) == {"text": "source", "label": "target"}


def test_a_column_asked_for_is_taken_whatever_its_name() -> None:
    columns = Columns(text="title", pair="abstract", label="year", weight="text")
    assert found(["title", "abstract", "year", "text"], columns) == {
        "text": "title",
        "pair": "abstract",
        "label": "year",
        "weight": "text",
    }


def test_a_column_asked_for_one_role_is_not_found_for_another() -> None:
    assert found(["text", "message", "label"], Columns(label="text")) == {
        "label": "text",
        "text": "message",
    }


def test_weights_are_never_found_by_name() -> None:
    assert "weight" not in found(["text", "label", "weight"])


def test_labels_are_optional_where_they_are_not_needed() -> None:
    assert found(["text"], needs_labels=False) == {"text": "text"}
    assert found(["text", "class", "topic"], needs_labels=False) == {"text": "text"}
    assert found(["text", "class"], needs_labels=False)["label"] == "class"


def test_a_missing_column_is_told_with_those_there_are_and_the_option() -> None:
    assert refusal(["a", "b"]) == (
        "a.csv has no column whose name says that it is the text (name it with --text COLUMN, in "
        "Python text=COLUMN or zx.Columns(text=COLUMN)) and has no column whose name says that it "
        "is the label (name it with --label COLUMN, in Python label=COLUMN or "
        'zx.Columns(label=COLUMN)); its columns are "a", "b"'
    )


def test_two_columns_that_may_be_meant_are_both_named() -> None:
    assert refusal(["review", "message", "label"]) == (
        'a.csv has 2 columns that may be the text, "review", "message" (name it with '
        "--text COLUMN, in Python text=COLUMN or zx.Columns(text=COLUMN)); its columns are "
        '"review", "message", "label"'
    )
    assert 'may be the label, "class", "topic"' in refusal(["text", "class", "topic"])


def test_a_misspelt_column_is_told_with_the_nearest() -> None:
    message = refusal(["review", "label"], Columns(text="reveiw", label="lable"))
    assert 'has no column "reveiw" to take as text=reveiw (did you mean "review"?)' in message
    assert 'has no column "lable" to take as label=lable (did you mean "label"?)' in message


def test_a_column_that_resembles_nothing_gets_no_guess() -> None:
    assert "did you mean" not in refusal(["text", "label"], Columns(weight="zzz"))


def test_a_table_of_very_many_columns_is_told_in_one_line() -> None:
    message = refusal([f"feature{i}" for i in range(1000)])
    assert '"feature11" and 988 more' in message
    assert len(message) < 500


def test_known_names_are_known_in_any_case() -> None:
    assert is_known("Text") and is_known(" hypothesis") and is_known("标签")
    assert not is_known("price")
