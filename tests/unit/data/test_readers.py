import gzip
import io
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from shared_data import real_set

from zhixing.data.readers import expand_paths, read_table, stream_tables
from zhixing.data.roles import MAYBE_LABELLED, Columns
from zhixing.data.table import Table
from zhixing.errors import ConfigError, DataError, FileError

TEXTS = ["good, really", 'he said "no"', "两\n行", "  spaced "]
LABELS = ["1", "0", "5", "1"]


def written(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(data: object, **options: object) -> str:
    with pytest.raises((DataError, FileError)) as caught:
        read_table(data, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


def piped(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    class Stdin:
        buffer = io.BufferedReader(io.BytesIO(content))

    monkeypatch.setattr("sys.stdin", Stdin())


def every_form(folder: Path) -> Iterator[object]:
    """The same rows in every form that keeps line ends within a text."""
    quoted = "".join(
        f'"{text.replace(chr(34), 2 * chr(34))}",{label}\n'
        for text, label in zip(TEXTS, LABELS, strict=True)
    )
    rows = [{"text": text, "label": int(n)} for text, n in zip(TEXTS, LABELS, strict=True)]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    frame = pl.DataFrame(rows)
    yield written(folder, f"text,label\n{quoted}", "a.csv")
    yield written(folder, gzip.compress(f"text,label\n{quoted}".encode()), "b.csv.gz")
    yield str(written(folder, f"\ufefftext,label\n{quoted}".replace(",1", ",1\r"), "c.csv"))
    yield written(folder, lines, "d.jsonl")
    yield written(folder, gzip.compress(lines.encode()), "e.jsonl.gz")
    frame.write_parquet(folder / "f.parquet")
    yield folder / "f.parquet"
    yield rows
    yield frame
    yield frame.with_columns(pl.col("label").cast(pl.Float64))
    yield {"text": TEXTS, "label": [float(label) for label in LABELS]}
    yield list(zip(TEXTS, LABELS, strict=True))


def test_every_form_gives_the_same_table(tmp_path: Path) -> None:
    tables = [read_table(data) for data in every_form(tmp_path)]
    for table in tables:
        assert (table.texts, table.labels, table.rows) == (TEXTS, LABELS, [1, 2, 3, 4])
        assert table.columns == {"text": "text", "label": "label"}
    assert len({table.fingerprint() for table in tables}) == 1
    assert len(tables) == 11


def test_every_form_streams_the_same_texts(tmp_path: Path) -> None:
    for data in every_form(tmp_path):
        pieces = list(stream_tables(data, rows_at_a_time=3))
        assert [text for piece in pieces for text in piece.texts] == TEXTS
        assert [piece.rows for piece in pieces] == [[1, 2, 3], [4]]
        assert all(piece.labels is None for piece in pieces)


def test_a_table_is_called_by_its_source(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,1\n")
    assert read_table(path).source == "a.csv"
    assert read_table([("a", 1)]).source == "<list>"
    assert [piece.source for piece in stream_tables(path)] == ["a.csv"]


def test_tsv_is_read_without_quoting(tmp_path: Path) -> None:
    path = written(tmp_path, 'text\tlabel\n"a" b, c\tx\n"d\ty\n', "a.tsv")
    assert read_table(path).texts == ['"a" b, c', '"d']


def test_plain_text_is_one_text_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, "one, two\nthree", "a.txt")
    table = read_table(path, roles=MAYBE_LABELLED)
    assert (table.texts, table.labels) == (["one, two", "three"], None)


def test_labels_are_read_where_they_are_found_even_if_not_needed(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,1\n")
    assert read_table(path, roles=MAYBE_LABELLED).labels == ["1"]


def test_pairs_and_weights_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "premise,hypothesis,label,w\na,b,1,0.5\n")
    table = read_table(path, columns=Columns(weight="w"))
    assert (table.texts, table.pairs, table.weights) == (["a"], ["b"], [0.5])


def test_whole_floats_in_text_files_are_labels_like_any_other(tmp_path: Path) -> None:
    floats = written(tmp_path, "text,label\na,1.0\nb,0.0\n", "a.csv")
    ints = written(tmp_path, "text,label\na,1\nb,0\n", "b.csv")
    ratings = written(tmp_path, "text,label\na,1.0\nb,0.5\n", "c.csv")
    assert read_table(floats).labels == ["1", "0"]
    assert read_table(ratings).labels == ["1.0", "0.5"]
    same = {read_table(path).fingerprint() for path in (floats, ints)}
    assert len(same) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"text": "a", "labels": ["x", "y"]}\n{"text": "b", "labels": []}\n'),
        ("a.csv", "text,labels\na,x|y\nb,\n"),
        ("a.tsv", "text\tlabels\na\tx,y\nb\t\n"),
    ],
)
def test_multi_label_tables_are_read(tmp_path: Path, name: str, content: str) -> None:
    table = read_table(written(tmp_path, content, name), multi_label=True)
    assert table.labels == [("x", "y"), ()]
    assert table.is_multi_label


def test_multi_label_parquet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["a", "b"], "labels": [["x", "y"], []]}).write_parquet(path)
    table = read_table(path, multi_label=True)
    assert table.labels == [("x", "y"), ()]


def test_the_separator_of_labels_can_be_told(tmp_path: Path) -> None:
    path = written(tmp_path, "text,labels\na,x y\n")
    table = read_table(path, multi_label=True, label_separator=" ")
    assert table.labels == [("x", "y")]
    with pytest.raises(ConfigError, match='label_separator is "", which separates nothing'):
        read_table(path, multi_label=True, label_separator="")


def test_files_of_a_pattern_are_joined_in_order(tmp_path: Path) -> None:
    written(tmp_path, "text,label\nc,1\n\nd,0\n", "b.csv")
    written(tmp_path, "text,label\na,1\n\nb,0\n", "a.csv")
    written(tmp_path, '{"text": "e", "label": "0"}\n', "c.jsonl")
    table = read_table(f"{tmp_path}/[abc].*")
    assert table.texts == ["a", "b", "c", "d", "e"]
    assert table.rows == [1, 3, 4, 6, 7]
    assert table.source == "3 files"
    pieces = list(stream_tables(f"{tmp_path}/*", rows_at_a_time=1))
    assert [row for piece in pieces for row in piece.rows] == table.rows
    assert [piece.source for piece in pieces] == ["a.csv"] * 2 + ["b.csv"] * 2 + ["c.jsonl"]


def test_a_fault_in_one_of_several_files_names_it_and_its_own_row(tmp_path: Path) -> None:
    written(tmp_path, "text,label\na,1\n", "a.csv")
    bad = written(tmp_path, "text,label\nb,1\n,0\n", "b.csv")
    assert refusal(f"{tmp_path}/*.csv").startswith(f"{bad}: 1 text is blank (row 2)")


def test_files_of_unlike_columns_are_not_joined(tmp_path: Path) -> None:
    one = written(tmp_path, "text,label\na,1\n", "a.csv")
    two = written(tmp_path, "text,text2,label\na,b,1\n", "b.csv")
    assert refusal(f"{tmp_path}/*.csv") == (
        f"{two} has columns for label, pair and text but {one} has them for label and text: give "
        "files that are alike"
    )


def test_a_pattern_looks_into_folders(tmp_path: Path) -> None:
    (tmp_path / "x" / "y.csv").mkdir(parents=True)
    path = written(tmp_path / "x" / "y.csv", "text\na\n", "a.csv")
    assert expand_paths(f"{tmp_path}/**/*.csv") == [path]


def test_a_pattern_that_fits_nothing_is_refused(tmp_path: Path) -> None:
    assert refusal(f"{tmp_path}/*.csv") == (
        f'no file fits the pattern "{tmp_path}/*.csv": check it with ls'
    )


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = written(tmp_path, "text\na\n", "a[1].csv")
    assert expand_paths(path) == [path]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path} is a folder, not a file")


@pytest.mark.parametrize("name", ["nothing.csv", "a.csv/b", "x" * 300, "a\0b"])
def test_a_path_that_leads_nowhere_is_refused_at_once(tmp_path: Path, name: str) -> None:
    written(tmp_path, "text\na\n")
    path = f"{tmp_path}/{name}"
    assert "file" in refusal(path) or "cannot be opened" in refusal(path)
    with pytest.raises(FileError):
        stream_tables(path)


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"text,label\na,1\n")
    table = read_table("-")
    assert (table.texts, table.labels, table.source) == (["a"], ["1"], "<stdin>")


def test_the_format_of_standard_input_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"text,label\na,1\n")
    (piece,) = stream_tables("-", format="txt")
    assert piece.texts == ["text,label", "a,1"]


def test_a_column_asked_for_makes_a_header_of_the_first_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    piped(monkeypatch, b"title,stars\na,1\n")
    columns = Columns(text="title", label="stars")
    assert read_table("-", columns=columns).texts == ["a"]


def test_empty_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"")
    assert refusal("-") == "<stdin> is empty: it needs at least one row"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match='format is "excel"'):
        read_table(["a"], roles=MAYBE_LABELLED, format="excel")
    with pytest.raises(ConfigError, match='format is "excel"'):
        stream_tables(["a"], format="excel")


HOSTILE = {
    "nothing at all": ("a.csv", b"", "is empty: it needs at least one row"),
    "only a header": ("a.csv", b"text,label\n", "has no rows: it needs at least one"),
    "only empty lines": ("a.jsonl", b"\n\n", "is empty"),
    "the wrong columns": ("a.csv", b"a,b\n1,2\n", 'its columns are "a", "b"'),
    "no labels": ("a.txt", b"a\n", "it is the label (name it with --label COLUMN"),
    "a ragged row": ("a.csv", b"text,label\na,1\nb\n", "row 2 (line 3): 1 field, not 2"),
    "an open quote": ("a.csv", b'text,label\n"a,1\n', "row 1 (line 2): a quote that is never"),
    "Latin-1": ("a.csv", "text,label\nété,1\n".encode("latin-1"), "at byte 11 (line 2)"),
    "UTF-16": ("a.csv", "text,label\na,1\n".encode("utf-16"), "is UTF-16, not UTF-8"),
    "a NUL byte": ("a.csv", b"text,label\na\0,1\n", "NUL byte at offset 12 (line 2)"),
    "bad JSON": ("a.jsonl", b'{"text": "a", "label": 1}\n{\n', "line 2: not JSON"),
    "no objects": ("a.jsonl", b'["a", 1]\n', "line 1: a list, not an object"),
    "a JSON array": ("a.json", b'[{"text": "a"}]', "jq -c '.[]'"),
    "no Parquet": ("a.parquet", b"text", "is not a sound Parquet file"),
    "a spreadsheet": ("a.csv", b"PK\x03\x04\0", "a ZIP archive or a spreadsheet"),
    "cut gzip": ("a.csv.gz", gzip.compress(b"text,label\na,1\n")[:-9], "cannot be read to its"),
    "blank texts": ("a.csv", b"text,label\n ,1\nb,1\n,0\n", "2 texts are blank (rows 1 and 3)"),
    "blank labels": (
        "a.csv",
        b"text,label\na,\nb,1\nc,nan\n",
        "2 labels are missing (rows 1 and 3",
    ),
    "a null label": ("a.jsonl", b'{"text": "a", "label": null}', "1 label is missing (row 1)"),
    "a NaN label": ("a.jsonl", b'{"text": "a", "label": NaN}', "1 label is missing (row 1)"),
    "no text at all": ("a.jsonl", b'{"label": 1}\n', 'its columns are "label"'),
    "a number for text": ("a.jsonl", b'{"text": 1, "label": 1}', "a number where a string is"),
    "lists of labels": ("a.jsonl", b'{"text": "a", "label": ["x"]}', "multi_label=True"),
    "half a character": ("a.jsonl", b'{"text": "\\ud83d", "label": 1}', "1 text is broken"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_get_one_sentence(tmp_path: Path, case: str) -> None:
    name, content, words = HOSTILE[case]
    message = refusal(written(tmp_path, content, name))
    assert words in message
    assert name in message


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_streams_end_with_the_same_error_or_none(tmp_path: Path, case: str) -> None:
    name, content, words = HOSTILE[case]
    path = written(tmp_path, content, name)
    try:
        pieces = list(stream_tables(path))
    except (DataError, FileError) as error:
        assert "\n" not in str(error) and name in str(error)
    else:
        # What is left is about labels, which a stream does not read, or about blanks.
        assert "label" in words or "blank" in words
        assert pieces[0].labels is None


def test_nothing_in_memory_is_refused() -> None:
    assert refusal([]) == "<list> has no rows: it needs at least one"
    assert refusal(pl.DataFrame()) == "<frame> has no rows: it needs at least one"


def test_a_frame_with_gaps_is_refused_with_its_rows() -> None:
    frame = pl.DataFrame({"text": ["a", None, "c"], "label": [1.0, 2.0, math.nan]})
    message = refusal(frame)
    assert "<frame>: 1 text is blank (row 2); 1 label is missing (row 3)" in message


def test_blanks_are_kept_for_an_examination(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\n ,1\nb,\n")
    table = read_table(path, keep_blanks=True)
    assert (table.texts, table.labels) == ([" ", "b"], ["1", ""])


def test_every_row_of_a_stream_has_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, "a\n\nb\n", "a.txt")
    (piece,) = stream_tables(path)
    assert (piece.texts, piece.rows) == (["a", "", "b"], [1, 2, 3])


def test_a_stream_hands_out_what_comes_before_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\na,1\nb,1\nc\n")
    pieces = stream_tables(path, rows_at_a_time=2)
    assert next(pieces).texts == ["a", "b"]
    with pytest.raises(DataError, match=r"row 3 \(line 4\): 1 field, not 2"):
        next(pieces)


def test_a_stream_reads_no_further_than_it_has_to(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, b"text\n" + b"a line of text\n" * 100_000)
    pieces = stream_tables("-", rows_at_a_time=10, format="csv")
    assert len(next(pieces)) == 10
    # One buffer of the operating system's size, and not the file.
    assert sys.stdin.buffer.raw.tell() < 20_000


def test_a_stream_of_no_rows_at_a_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="rows_at_a_time is 0; it must be at least 1"):
        stream_tables(["a"], rows_at_a_time=0)


def test_a_text_of_five_megabytes_is_read(tmp_path: Path) -> None:
    long = "很好 ok " * 500_000
    path = written(tmp_path, f'text,label\n"{long}",1\nb,0\n')
    assert [len(text) for text in read_table(path).texts] == [len(long), 1]


def test_more_rows_than_a_chunk_are_one_table(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\n" + "a,1\n" * 70_000)
    table = read_table(path)
    assert (len(table), table.rows[-1]) == (70_000, 70_000)


def real(name: str) -> Table:
    path = real_set(name)
    return read_table(path)


@pytest.mark.parametrize(
    ("name", "rows", "labels"),
    [
        ("sst2/train.tsv", 6920, 2),
        ("sst2/validation.tsv", 872, 2),
        ("agnews/train.tsv", 4000, 4),
        ("agnews/validation.tsv", 999, 4),
        ("dbpedia14/train.tsv", 11000, 14),
        ("banking77/train.tsv", 10003, 77),
        ("trec/train.tsv", 5452, 6),
        ("sms_spam/train.tsv", 4171, 2),
        ("chnsenticorp/train.tsv", 9255, 2),
        ("multi30k_en-fr/validation.tsv", 1014, 1014),
        ("tatoeba_en-zh/train.tsv.gz", 26959, 23868),
    ],
)
def test_the_real_sets_are_read_whole(name: str, rows: int, labels: int) -> None:
    table = real(name)
    assert (len(table), len(table.label_counts())) == (rows, labels)
    assert table.rows == list(range(1, rows + 1))


def test_quotes_in_the_real_sets_are_kept() -> None:
    texts = real("sms_spam/train.tsv").texts
    assert sum('"' in text for text in texts) > 50


def test_a_stream_of_a_real_set_gives_its_texts() -> None:
    whole = real("chnsenticorp/validation.tsv")
    pieces = stream_tables(real_set("chnsenticorp/validation.tsv"), rows_at_a_time=100)
    assert [text for piece in pieces for text in piece.texts] == whole.texts
