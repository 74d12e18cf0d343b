import json
from collections.abc import Sequence

import pytest
from shared_data import real_set
from tables import make_table

from zhixing.data.doctors.findings import Finding
from zhixing.data.doctors.labels import Examination, examine
from zhixing.data.readers import read_table
from zhixing.data.table import Table
from zhixing.errors import DataError


def table(
    texts: list[str],
    labels: list[str] | list[tuple[str, ...]] | None = None,
    *,
    pairs: list[str] | None = None,
    multi: bool = False,
    source: str = "train.csv",
) -> Table:
    return make_table(texts, labels, pairs=pairs, source=source, multi=multi)


def sound(size: int = 20) -> Table:
    labels = ["x", "y"] * (size // 2)
    return table([f"text {i}" for i in range(size)], labels)


def only(examination: Examination, kind: str) -> Finding:
    (finding,) = [finding for finding in examination.findings if finding.kind == kind]
    return finding


def kinds(examination: Examination) -> list[str]:
    return [finding.kind for finding in examination.findings]


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def test_a_sound_table_has_no_findings() -> None:
    examination = examine(sound())
    assert examination.findings == []
    assert not examination.has_errors
    assert (examination.source, examination.num_rows) == ("train.csv", 20)
    assert examination.labels == {"x": 10, "y": 10}


def test_a_table_without_labels_can_be_sound() -> None:
    examination = examine(table(["a", "b"]))
    assert (examination.findings, examination.labels) == ([], {})


def test_an_empty_table_is_an_error() -> None:
    examination = examine(sound().select([]))
    assert only(examination, "no_rows").message == "train.csv has no rows"
    assert examination.lengths is None and examination.has_errors


def test_blank_texts_and_missing_labels_are_errors() -> None:
    texts = [*sound().texts[:18], " ", "\u200b"]
    labels = ["", *["x", "y"] * 9, ""]
    examination = examine(table(texts, labels))
    blank, missing = only(examination, "blank_texts"), only(examination, "missing_labels")
    assert (blank.rows, blank.count, blank.severity) == ([19, 20], 2, "error")
    assert blank.message == "2 rows hold a blank text (rows 19 and 20)"
    assert (missing.rows, missing.severity) == ([1, 20], "error")
    assert examination.has_errors


def test_a_blank_second_text_counts_as_blank() -> None:
    texts = sound().texts
    pairs = [*texts[:19], ""]
    examination = examine(table(texts, sound().row_labels(), pairs=pairs, multi=True))
    assert only(examination, "blank_texts").rows == [20]


def test_one_label_leaves_nothing_to_tell_apart() -> None:
    finding = only(examine(table(["a", "b"], ["x", "x"])), "single_label")
    assert finding.message == 'every row has the label "x", so there is nothing to tell apart'
    assert finding.severity == "error"
    multi = examine(table(["a", "b"], [("x",), ()], multi=True))
    assert "single_label" not in kinds(multi)


def test_labels_that_are_as_many_as_rows_are_hardly_classes() -> None:
    texts = [str(i) for i in range(30)]
    finding = only(examine(table(texts, texts)), "too_many_labels")
    assert finding.message.startswith("there are 30 labels for 30 rows")
    assert "label=COLUMN" in finding.remedy


def test_rare_labels_are_named() -> None:
    labels = ["x"] * 10 + ["y"] * 9 + ["z"]
    finding = only(examine(table([str(i) for i in range(20)], labels)), "few_examples")
    assert finding.message == '1 label has fewer than 8 rows ("z")'
    assert finding.count == 1


def test_imbalance_is_noted_with_its_numbers() -> None:
    labels = ["x"] * 100 + ["y"] * 10
    finding = only(examine(table([str(i) for i in range(110)], labels)), "imbalanced_labels")
    assert finding.message == '"x" has 100 of 110 rows and "y" 10'
    assert finding.severity == "note"
    nearly = ["x"] * 99 + ["y"] * 10
    assert kinds(examine(table([str(i) for i in range(109)], nearly))) == []


def test_labels_that_differ_in_their_spelling_only_are_told() -> None:
    labels = ["Positive"] * 10 + ["positive "] * 9 + ["neg"] * 10
    finding = only(examine(table([str(i) for i in range(29)], labels)), "similar_labels")
    assert finding.message == 'labels "Positive", "positive" differ in case or punctuation only'
    assert (finding.rows, finding.count) == (list(range(11, 20)), 9)


def test_labels_of_punctuation_or_other_scripts_are_kept_apart() -> None:
    labels = ["好", "坏"] * 10
    assert kinds(examine(table([str(i) for i in range(20)], labels))) == []


def test_duplicates_are_noted_and_contradictions_warned_of() -> None:
    texts = [*sound().texts, "text 0", "TEXT  1", "text 2", "text 2"]
    labels = [*["x", "y"] * 10, "x", "y", "y", "x"]
    examination = examine(table(texts, labels))
    duplicate = only(examination, "duplicate_rows")
    conflict = only(examination, "conflicting_labels")
    assert (duplicate.rows, duplicate.severity) == ([21, 22, 24], "note")
    assert (conflict.rows, conflict.severity) == ([23], "warning")
    assert (
        conflict.message == "1 row repeats the text of an earlier row under another label (row 23)"
    )


def test_the_same_text_in_other_pairs_is_no_duplicate() -> None:
    pairs = [f"other {i}" for i in range(20)]
    assert kinds(examine(table(["same"] * 20, ["x", "y"] * 10, pairs=pairs))) == []


def test_damaged_texts_are_found_in_both_texts() -> None:
    texts = ["cafÃ©", *sound().texts[1:]]
    pairs = ["&amp;", *sound().texts[1:]]
    examination = examine(table(texts, ["x", "y"] * 10, pairs=pairs))
    assert only(examination, "mojibake").rows == [1]
    assert only(examination, "html_entities").rows == [1]


def test_lengths_are_counted_in_characters_without_a_tokenizer() -> None:
    lengths = examine(table([" " * i + "x" for i in range(100)]), max_length=3).lengths
    assert lengths is not None
    assert (lengths.unit, lengths.shortest, lengths.longest) == ("characters", 1, 100)
    assert (lengths.median, lengths.percentile_95, lengths.total) == (50, 95, 5050)
    # A limit in tokens says nothing about characters.
    assert (lengths.max_length, lengths.num_longer) == (None, 0)


def test_texts_longer_than_the_model_are_noted() -> None:
    texts = ["one two three", *sound().texts]
    examination = examine(table(texts), count_tokens=count_words, max_length=2)
    finding = only(examination, "long_texts")
    assert finding.message == (
        "1 row is longer than the 2 tokens that the model takes at once (row 1)"
    )
    assert finding.severity == "note"
    assert examination.lengths is not None
    assert (examination.lengths.unit, examination.lengths.num_longer) == ("tokens", 1)


def test_one_text_has_all_lengths_alike() -> None:
    lengths = examine(table(["abc"])).lengths
    assert lengths is not None
    assert {lengths.shortest, lengths.median, lengths.percentile_95, lengths.longest} == {3}


def test_a_counter_that_loses_texts_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        examine(table(["a", "b"]), count_tokens=lambda texts: [1])
    assert str(caught.value) == (
        "count_tokens gave 1 length for 2 texts: it has to give one for each"
    )


def test_leaks_into_validation_are_told() -> None:
    validation = table(["text 0", "new", "Text 5"], ["x", "y", "y"], source="validation.csv")
    finding = only(examine(sound(), validation), "leaked_rows")
    assert finding.message == (
        "2 rows of validation.csv repeat a text of train.csv, which makes scores too good (rows 1 "
        "and 3)"
    )
    assert (finding.rows, finding.severity) == ([1, 3], "warning")


def test_strange_validation_labels_are_errors_with_rows() -> None:
    validation = table(["a", "b", "c"], ["x", "z", "y"], source="validation.csv")
    finding = only(examine(sound(), validation), "unknown_labels")
    assert 'validation.csv has 1 label that train.csv lacks: "z" (row 2)' in finding.message
    assert (finding.rows, finding.count, finding.severity) == ([2], 1, "error")


def test_labels_that_validation_never_asks_for_are_noted() -> None:
    validation = table(["a", "b"], ["x", "x"], source="validation.csv")
    finding = only(examine(sound(), validation), "unjudged_labels")
    assert finding.message == 'validation.csv has no row of "y", so these are not judged'
    unlabelled = table(["a"], source="validation.csv")
    assert kinds(examine(sound(), unlabelled)) == []


def test_the_worst_comes_first() -> None:
    texts = ["", "&amp; a", "&amp; a", "cafÃ©"]
    examination = examine(table(texts, ["x", "y", "y", "x"]))
    severities = [finding.severity for finding in examination.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert set(severities) == {"error", "warning", "note"}


def test_an_examination_is_fit_for_json() -> None:
    values = json.loads(json.dumps(examine(table(["", "a"], ["x", "y"])).to_dict()))
    assert values["num_rows"] == 2
    assert values["findings"][0]["kind"] == "blank_texts"
    assert values["lengths"]["longest"] == 1


def real(name: str) -> Table:
    path = real_set(name)
    return read_table(path, keep_blanks=True)


def test_the_known_faults_of_the_real_sets_are_found() -> None:
    news = examine(real("agnews/train.tsv"))
    assert only(news, "html_entities").count > 1000
    assert not news.has_errors
    reviews = examine(real("chnsenticorp/train.tsv"), real("chnsenticorp/validation.tsv"))
    assert only(reviews, "leaked_rows").count > 300
    assert "mojibake" not in kinds(reviews)
