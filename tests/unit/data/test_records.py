import csv
import io
import random
from pathlib import Path

import pytest

from zhixing.data import records as module
from zhixing.data.records import Format, Record, checked_format, format_of, open_records
from zhixing.errors import ConfigError, DataError


def records(folder: Path, content: str, form: Format | None = "csv") -> list[Record]:
    path = folder / "a"
    path.write_text(content, encoding="utf-8", newline="")
    return list(open_records(path, form).records)


def values(folder: Path, content: str, form: Format | None = "csv") -> list[object]:
    return [record.values for record in records(folder, content, form)]


def names(folder: Path, content: str, form: Format | None = None) -> list[str] | None:
    path = folder / "a"
    path.write_text(content, encoding="utf-8", newline="")
    return open_records(path, form, asked=["betreff"]).names


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", "csv"),
        ("a.CSV", "csv"),
        ("a.tsv", "tsv"),
        ("a.tab", "tsv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.json", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.txt", "txt"),
        ("a.csv.gz", "csv"),
        ("a.jsonl.GZ", "jsonl"),
        ("a.gz", None),
        ("a", None),
        ("a.csv.bak", None),
    ],
)
def test_the_ending_of_a_name_tells_the_format(name: str, form: str | None) -> None:
    assert format_of(Path(name)) == form


def test_a_format_is_taken_by_its_name() -> None:
    assert checked_format("tsv") == "tsv"
    assert checked_format(None) is None
    with pytest.raises(ConfigError) as caught:
        checked_format("xlsx")
    assert str(caught.value) == (
        'format is "xlsx"; it must be one of "csv", "tsv", "jsonl", "parquet", "txt"'
    )


def test_quoted_fields_hold_commas_quotes_and_line_ends(tmp_path: Path) -> None:
    content = 'text,label\n"a, ""b""\r\nc",1\n"",2\n" d ",3\n'
    assert values(tmp_path, content) == [['a, "b"\nc', "1"], ["", "2"], [" d ", "3"]]


def test_a_quote_within_an_unquoted_field_is_a_quote(tmp_path: Path) -> None:
    assert values(tmp_path, 'text,label\n5" pipe,1\na"b"c,2\n') == [
        ['5" pipe', "1"],
        ['a"b"c', "2"],
    ]


def test_rows_and_lines_are_numbered_apart(tmp_path: Path) -> None:
    found = records(tmp_path, 'text,label\n"a\n\nb",1\nc,2\n')
    assert [(record.row, record.line) for record in found] == [(1, 2), (2, 5)]


def test_empty_lines_are_skipped_but_counted(tmp_path: Path) -> None:
    found = records(tmp_path, "text,label\na,1\n\n\nb,2\n\n")
    assert [record.row for record in found] == [1, 4]


def test_an_empty_line_is_a_blank_text_where_the_text_is_all_there_is(tmp_path: Path) -> None:
    assert values(tmp_path, "text\na\n\nb\n") == [["a"], [""], ["b"]]


def test_empty_lines_before_the_header_are_passed_over(tmp_path: Path) -> None:
    assert values(tmp_path, "\n \ntext,label\na,1\n") == [["a", "1"]]


def test_the_csv_reader_agrees_with_the_standard_one(tmp_path: Path) -> None:
    generator = random.Random(7)
    alphabet = ['"', ",", "\n", "a", "é", " ", ";", "\t", "'"]
    for _ in range(200):
        rows = [
            ["".join(generator.choices(alphabet, k=generator.randint(0, 8))) for _ in range(3)]
            for _ in range(5)
        ]
        written = io.StringIO()
        csv.writer(written, lineterminator=generator.choice(["\n", "\r\n"])).writerows(
            [["text", "pair", "label"], *rows]
        )
        assert values(tmp_path, written.getvalue()) == rows


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("a", "1 field, not 2"),
        ("a,1,2", "3 fields, not 2"),
        ('"a"b,1', "text after a closing quote (a quote within quotes is written twice)"),
        ('"he said "hi" to me",1', "text after a closing quote"),
        ('"a,1', "a quote that is never closed"),
        ('a,"', "a quote that is never closed"),
    ],
)
def test_a_row_of_another_form_bears_its_fault(tmp_path: Path, row: str, fault: str) -> None:
    good, bad = records(tmp_path, f"text,label\nx,0\n{row}")
    assert good.fault == ""
    assert bad.fault.startswith(fault)
    assert (bad.row, bad.line) == (2, 3)


def test_rows_after_a_fault_are_read_on(tmp_path: Path) -> None:
    found = records(tmp_path, 'text,label\n"a"b,1\nc\nd,2\n')
    assert [bool(record.fault) for record in found] == [True, True, False]


def test_a_quote_left_open_does_not_swallow_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_FIELD_CHARACTERS", 100)
    found = records(tmp_path, 'text,label\n"a,1\n' + "b,2\n" * 100)
    assert found[0].fault == "a quote that is never closed"
    assert len(found) > 50
    assert found[-1].values == ["b", "2"]


def test_a_field_of_five_megabytes_is_read_in_time(tmp_path: Path) -> None:
    long = 'a""' * 1_700_000
    (row,) = values(tmp_path, f'text,label\n"{long}",1\n')
    assert row == ['a"' * 1_700_000, "1"]


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("text;label\na,b;1\n", ["a,b", "1"]),
        ("text\tlabel\na,b\t1\n", ["a,b", "1"]),
        ('"te,xt";label\na;1\n', ["a", "1"]),
        ("text,lab;el\na,1\n", ["a", "1"]),
    ],
)
def test_the_header_tells_what_stands_between_fields(
    tmp_path: Path, content: str, fields: list[str]
) -> None:
    assert values(tmp_path, content) == [fields]


def test_quotes_in_tsv_are_text(tmp_path: Path) -> None:
    assert values(tmp_path, 'text\tlabel\n"a\t1\n"b" c\t"2"\n', "tsv") == [
        ['"a', "1"],
        ['"b" c', '"2"'],
    ]


def test_ragged_tsv_rows_bear_their_fault(tmp_path: Path) -> None:
    found = records(tmp_path, "text\tlabel\na\nb\t1\t\n", "tsv")
    assert [record.fault for record in found] == ["1 field, not 2", "3 fields, not 2"]


def test_names_of_columns_are_stripped(tmp_path: Path) -> None:
    assert names(tmp_path, ' text ,"label"\na,1\n', "csv") == ["text", "label"]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'header that names "text" more than once'):
        names(tmp_path, "text,text,label\n", "csv")


def test_a_header_without_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="first line without names"):
        names(tmp_path, ",,\na,b,c\n", "csv")


def test_nameless_columns_are_allowed(tmp_path: Path) -> None:
    assert names(tmp_path, ",text,label,\n0,a,1,\n", "csv") == ["", "text", "label", ""]


@pytest.mark.parametrize("content", ["", "\n", " \n\t\n"])
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "txt", None])
def test_an_empty_file_is_refused(tmp_path: Path, content: str, form: Format | None) -> None:
    with pytest.raises(DataError, match="a is empty: it needs at least one row"):
        names(tmp_path, content, form)


def test_json_lines_are_objects(tmp_path: Path) -> None:
    found = records(tmp_path, '{"text": "a\\nb", "label": 1}\n\n{"text": "c"}\n', "jsonl")
    assert [record.values for record in found] == [{"text": "a\nb", "label": 1}, {"text": "c"}]
    assert [(record.row, record.line) for record in found] == [(1, 1), (3, 3)]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"text": "a" "label": 1}', "not JSON (Expecting ',' delimiter at column 14)"),
        ("text", "not JSON (Expecting value at column 1)"),
        ('{"text": "a"', "not JSON (Expecting ',' delimiter at column 13)"),
        ('{"a": 1}{"b": 2}', "not JSON (Extra data at column 9)"),
        ("[1]", "a list, not an object"),
        ('"a"', "a string, not an object"),
        ("null", "null, not an object"),
        ("true", "true or false, not an object"),
        ("1.5", "a number, not an object"),
        ("[" * 100_000, "not JSON that can be read (RecursionError)"),
        ('{"a": ' + "1" * 5000 + "}", "not JSON that can be read (ValueError)"),
    ],
)
def test_other_lines_bear_their_fault(tmp_path: Path, line: str, fault: str) -> None:
    bad, good = records(tmp_path, f'{line}\n{{"text": "a"}}\n', "jsonl")
    assert bad.fault == fault
    assert (good.fault, good.row) == ("", 2)


def test_plain_text_is_one_text_a_line(tmp_path: Path) -> None:
    content = '\nHello, "world"\n\n{"text": 1}\tb\n'
    assert values(tmp_path, content, "txt") == [[""], ['Hello, "world"'], [""], ['{"text": 1}\tb']]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"text": "a"}\n', None),
        ("text,label\na,1\n", ["text", "label"]),
        ('"text","other"\na,1\n', ["text", "other"]),
        ("review\tstars\na\t1\n", ["review", "stars"]),
        ("betreff;x\na;1\n", ["betreff", "x"]),
        ("Hello, world\n", ["text"]),
        ("one\ttwo\n", ["text"]),
        ("text\na\n", ["text"]),
        ("[applause] thanks\n", ["text"]),
    ],
)
def test_an_unnamed_format_is_guessed_from_the_first_line(
    tmp_path: Path, content: str, expected: list[str] | None
) -> None:
    assert names(tmp_path, content) == expected


def test_a_json_array_is_guessed_as_json(tmp_path: Path) -> None:
    for content in ('[{"text": "a"}]', '[\n{"text": "a"}\n]'):
        assert records(tmp_path, content, None)[0].fault != ""


def test_blank_first_lines_of_guessed_text_are_kept(tmp_path: Path) -> None:
    assert values(tmp_path, "\n\nHello\n", None) == [[""], [""], ["Hello"]]


def test_the_size_of_a_record_is_that_of_its_text(tmp_path: Path) -> None:
    assert records(tmp_path, "text,label\nabc,1\n")[0].size == 4
    assert records(tmp_path, '{"text": "abc"}\n', "jsonl")[0].size == 15
