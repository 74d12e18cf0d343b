import gzip
from pathlib import Path

import pytest
from shared_data import real_set

from zhixing.data import sources
from zhixing.data.doctors.files import examine_file
from zhixing.data.doctors.findings import Finding
from zhixing.errors import DataError, FileError


def examined(folder: Path, content: str | bytes, name: str = "a.csv") -> list[Finding]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return examine_file(path)


def only(folder: Path, content: str | bytes, kind: str, name: str = "a.csv") -> Finding:
    findings = examined(folder, content, name)
    assert [finding.kind for finding in findings] == [kind]
    return findings[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,label\n"a, b",1\nc,0'),
        ("a.csv", "text,label\r\na,1\r\nb,0"),
        ("a.tsv", 'text\tlabel\nsaid "a"\t1\n'),
        ("a.jsonl", '{"text": "a"}\n\n{"text": "b"}\n'),
        ("a.txt", "a\n\nb"),
    ],
)
def test_a_sound_file_has_no_findings(tmp_path: Path, name: str, content: str) -> None:
    assert examined(tmp_path, content, name) == []


def test_bytes_that_are_not_utf8_are_placed_and_counted(tmp_path: Path) -> None:
    content = "text,label\ndéjà vu,1\na,0\ntrès,1\n".encode("latin-1")
    finding = only(tmp_path, content, "not_utf8")
    assert (finding.severity, finding.rows, finding.count) == ("error", [2, 4], 2)
    assert finding.unit == "line"
    assert 'at byte 12 (line 2); it looks like WINDOWS-1252: run "iconv' in finding.message


def test_damaged_utf8_is_told_from_another_encoding(tmp_path: Path) -> None:
    content = "text,label\n很好很好,1\n".encode() + b"a\xff,0\n"
    finding = only(tmp_path, content, "not_utf8")
    assert "is damaged at byte 27 (line 3)" in finding.message
    assert finding.rows == [3]


def test_nul_bytes_are_counted(tmp_path: Path) -> None:
    finding = only(tmp_path, b"text,label\na\0,1\nb,0\n\0,1\n", "nul_bytes")
    assert finding.message == "2 lines hold a NUL byte (lines 2 and 4)"
    assert finding.severity == "error"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("text,label\na,1\n".encode("utf-16"), "is UTF-16, not UTF-8: run"),
        (b"PK\x03\x04", "a ZIP archive or a spreadsheet"),
        (b"text,label\ra,1\r", "a lone carriage return"),
    ],
)
def test_a_file_that_is_no_text_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    finding = only(tmp_path, content, "not_text")
    assert words in finding.message
    assert finding.severity == "error"


def test_a_line_without_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 2**20)
    finding = only(tmp_path, b"text\n" + b"x" * (2**20 + 1), "not_text")
    assert "has a line of more than 1 MB" in finding.message


def test_a_byte_order_mark_is_noted(tmp_path: Path) -> None:
    finding = only(tmp_path, "\ufefftext,label\na,1\n", "byte_order_mark")
    assert (finding.severity, finding.rows) == ("note", [1])


def test_mixed_line_ends_are_told_by_the_rarer_kind(tmp_path: Path) -> None:
    finding = only(tmp_path, "text,label\r\na,1\nb,1\nc,1\r\nd,1\r\n", "mixed_line_ends")
    assert finding.message == (
        "2 lines end in a line feed alone, unlike the others (lines 2 and 3)"
    )
    finding = only(tmp_path, "text,label\na,1\r\nb,1\r\nc,1\nd,1\n", "mixed_line_ends")
    assert finding.message.startswith("2 lines end in a carriage return and a line feed")


def test_very_long_lines_are_told(tmp_path: Path) -> None:
    finding = only(tmp_path, f"text,label\na,1\n{'x' * 100_001},1\n", "long_lines")
    assert finding.message == "1 line is longer than 100,000 bytes (line 3)"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("cafÃ©", "mojibake"),
        ("a\ufffd", "replacement_characters"),
        ("it#39;s", "html_entities"),
        ("a<br/>b", "html_tags"),
        ("a\x07", "control_characters"),
    ],
)
def test_marks_in_texts_are_told_by_line(tmp_path: Path, text: str, kind: str) -> None:
    finding = only(tmp_path, f"text,label\na,1\n{text},1\n", kind)
    assert (finding.rows, finding.unit) == ([3], "line")


def test_rows_of_too_few_and_too_many_fields_are_told_apart(tmp_path: Path) -> None:
    few, many = examined(tmp_path, "text,label\na\nb,1\nc,1,2\n\nd\n")
    assert few.kind == "too_few_fields" and many.kind == "too_many_fields"
    assert few.message == "2 rows have fewer fields than the 2 of the header (rows 1 and 5)"
    assert many.message == "1 row has more fields than the 2 of the header (row 3)"
    assert (few.unit, few.severity) == ("row", "error")


def test_unbalanced_quotes_are_told_by_row(tmp_path: Path) -> None:
    finding = only(tmp_path, 'text,label\n"a"b,1\nc,1\n"d,1\n', "unbalanced_quotes")
    assert finding.rows == [1, 3]


def test_lines_that_are_no_objects_are_told_by_row(tmp_path: Path) -> None:
    finding = only(tmp_path, '{"text": "a"}\n{\n[1]\n', "not_json", "a.jsonl")
    assert finding.message == ("2 rows hold something other than a JSON object (rows 2 and 3)")


def test_quotes_in_tsv_are_noted_where_they_are_a_habit(tmp_path: Path) -> None:
    rows = "".join(f'"text {i}"\t1\n' for i in range(5))
    finding = only(tmp_path, f"text\tlabel\n{rows}", "quotes_in_tsv", "a.tsv")
    assert (finding.count, finding.severity) == (5, "note")
    once = '"a"\t1\n' + "b\t1\n" * 20
    assert examined(tmp_path, f"text\tlabel\n{once}", "a.tsv") == []


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "is empty"), ("text,text\n", "more than once"), (",\n", "without names")],
)
def test_a_file_without_a_sound_header_is_told(tmp_path: Path, content: str, words: str) -> None:
    finding = only(tmp_path, content, "header")
    assert words in finding.message


def test_everything_is_told_at_once_and_the_worst_first(tmp_path: Path) -> None:
    content = '\ufefftext,label\r\ncafÃ©,1\na\n"b"c,1\r\n&amp;,1\r\n'
    kinds = [finding.kind for finding in examined(tmp_path, content)]
    assert kinds == [
        "too_few_fields",
        "unbalanced_quotes",
        "mixed_line_ends",
        "mojibake",
        "html_entities",
        "byte_order_mark",
    ]


def test_fields_are_not_looked_at_where_bytes_are_wrong(tmp_path: Path) -> None:
    only(tmp_path, "text,label\né\n".encode("latin-1"), "not_utf8")


def test_a_zipped_file_is_examined_unpacked(tmp_path: Path) -> None:
    finding = only(tmp_path, gzip.compress(b"text,label\na\n"), "too_few_fields", "a.csv.gz")
    assert finding.rows == [1]


def test_parquet_has_no_lines_to_examine(tmp_path: Path) -> None:
    assert examined(tmp_path, b"PAR1", "a.parquet") == []


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no file .*a\.csv"):
        examine_file(tmp_path / "a.csv")


def test_standard_input_is_refused() -> None:
    with pytest.raises(DataError, match="standard input cannot be examined"):
        examine_file("-")


@pytest.mark.parametrize(
    "name", ["sst2/train.tsv", "agnews/train.tsv", "tatoeba_en-zh/train.tsv.gz"]
)
def test_the_real_sets_have_no_errors(name: str) -> None:
    path = real_set(name)
    assert [finding for finding in examine_file(path) if finding.severity == "error"] == []
