import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from zhixing.data import chunks as module
from zhixing.data.chunks import Chunk, file_chunks, memory_chunks
from zhixing.data.records import Format
from zhixing.data.sources import STANDARD_INPUT
from zhixing.errors import DataError, FileError


def of_file(path: Path, *, form: Format | None = None, rows_at_a_time: int = 1000) -> list[Chunk]:
    return list(file_chunks(path, form, asked=[], rows_at_a_time=rows_at_a_time))


def written(folder: Path, content: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        of_file(path)
    return str(caught.value)


def columns_of(data: object) -> dict[str, list[object]]:
    _, chunks = memory_chunks(data, rows_at_a_time=1000)
    (chunk,) = list(chunks)
    return {name: chunk.cells(name) for name in chunk.columns}


def memory_refusal(data: object) -> str:
    with pytest.raises(DataError) as caught:
        memory_chunks(data, rows_at_a_time=10)
    return str(caught.value)


class PandasColumn:
    def __init__(self, cells: list[object]) -> None:
        self.cells = cells

    def tolist(self) -> list[object]:
        return self.cells


class Positions:
    def __init__(self, columns: list[list[object]]) -> None:
        self.columns = columns

    def __getitem__(self, key: tuple[slice, int]) -> PandasColumn:
        return PandasColumn(self.columns[key[1]])


class PandasFrame:
    """What is used of a pandas frame, under the module name that it is known by."""

    def __init__(self, names: list[object], columns: list[list[object]]) -> None:
        self.columns = names
        self.iloc = Positions(columns)


PandasFrame.__module__ = "pandas.core.frame"


def test_a_file_comes_in_pieces_of_the_size_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "text,label\n" + "".join(f"t{i},{i}\n" for i in range(5)))
    pieces = of_file(path, rows_at_a_time=2)
    assert [piece.rows for piece in pieces] == [[1, 2], [3, 4], [5]]
    assert [piece.cells("label") for piece in pieces] == [["0", "1"], ["2", "3"], ["4"]]


def test_a_piece_of_long_texts_is_closed_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CHUNK_CHARACTERS", 10)
    path = written(tmp_path, "aaaaaa\nbbbbbb\nc\n", "a.txt")
    assert [piece.rows for piece in of_file(path)] == [[1, 2], [3]]


def test_a_file_without_rows_has_no_pieces(tmp_path: Path) -> None:
    assert of_file(written(tmp_path, "text,label\n")) == []


def test_all_faulty_rows_of_a_piece_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, 'text,label\na\nb,1\nc\nd,1,2\n"e"f,1\n')
    assert refusal(path) == (
        f"{path}: rows 1 and 3 (lines 2 and 4): 1 field, not 2; row 4 (line 5): 3 fields, not 2; "
        "row 5 (line 6): text after a closing quote (a quote within quotes is written twice); "
        "mend these rows or leave them out"
    )


def test_faults_of_many_kinds_are_cut_short(tmp_path: Path) -> None:
    rows = "".join("x" + ",x" * i + "\n" for i in range(2, 10))
    assert "; and 3 rows more; mend" in refusal(written(tmp_path, f"text,label\n{rows}"))


def test_bad_json_lines_are_told_together(tmp_path: Path) -> None:
    path = written(tmp_path, '{"text": "a"}\n{"text"}\n[1]\n[2]\n', "a.jsonl")
    assert refusal(path) == (
        f"{path}: line 2: not JSON (Expecting ':' delimiter at column 8); lines 3 and 4: a list, "
        "not an object; write one JSON object a line"
    )


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", '[{"text": "a"}]'), ("a.jsonl", '[{"text": "a"}]')]
)
def test_a_json_array_is_refused_with_the_command(tmp_path: Path, name: str, content: str) -> None:
    path = written(tmp_path, content, name)
    assert refusal(path).endswith(f"write one JSON object a line, as \"jq -c '.[]' {path}\" does")


def test_objects_need_not_have_all_names(tmp_path: Path) -> None:
    path = written(tmp_path, '{"text": "a"}\n{"label": 1, "text": "b"}\n{}\n', "a.jsonl")
    (piece,) = of_file(path)
    assert list(piece.columns) == ["text", "label"]
    assert piece.cells("text") == ["a", "b", None]
    assert piece.cells("label") == [None, 1, None]
    assert piece.cells("pair") == [None, None, None]


def test_parquet_comes_in_pieces_with_running_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PARQUET_SLICE_ROWS", 4)
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": list("abcdefg"), "label": range(7)}).write_parquet(path)
    pieces = of_file(path, rows_at_a_time=2)
    assert [piece.rows for piece in pieces] == [[1, 2], [3, 4], [5, 6], [7]]
    assert [cell for piece in pieces for cell in piece.cells("label")] == list(range(7))
    assert pieces[3].cells("text") == ["g"]


@pytest.mark.parametrize("content", [b"", b"junk", b"PAR1" + b"\0" * 20 + b"PAR1"])
def test_an_unsound_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path} is not a sound Parquet file (")


def test_a_parquet_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["a"] * 100}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "is not a sound Parquet file" in refusal(path)


def test_a_parquet_file_that_has_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no file .*a\.parquet"):
        of_file(tmp_path / "a.parquet")


def test_parquet_is_not_read_from_standard_input() -> None:
    with pytest.raises(DataError, match="Parquet cannot be read from standard input"):
        list(file_chunks(STANDARD_INPUT, "parquet", asked=[], rows_at_a_time=1))


def test_a_list_of_texts_has_one_column() -> None:
    assert columns_of(["a", "b"]) == {"text": ["a", "b"]}


def test_tuples_hold_text_and_label() -> None:
    assert columns_of([("a", 1), ["b", 0]]) == {"text": ["a", "b"], "label": [1, 0]}
    assert columns_of([("a", "b", 1)]) == {"text": ["a"], "pair": ["b"], "label": [1]}


def test_dicts_hold_named_cells() -> None:
    assert columns_of([{"text": "a"}, {"text": "b", "label": 1}]) == {
        "text": ["a", "b"],
        "label": [None, 1],
    }


def test_a_dict_holds_columns() -> None:
    data = {"text": ("a", "b"), "label": np.array([1, 0]), "w": pl.Series([1.0, 2.0])}
    columns = columns_of(data)
    assert columns == {"text": ["a", "b"], "label": [1, 0], "w": [1.0, 2.0]}
    assert type(columns["label"][0]) is int


def test_frames_hold_columns() -> None:
    frame = pl.DataFrame(
        {"text": ["a", None], "label": pl.Series(["x", "y"], dtype=pl.Categorical)}
    )
    assert columns_of(frame) == {"text": ["a", None], "label": ["x", "y"]}


def test_a_pandas_frame_is_known_without_pandas() -> None:
    frame = PandasFrame(["text", 1], [["a", math.nan], [1.0, 2.0]])
    columns = columns_of(frame)
    assert columns["1"] == [1.0, 2.0] and columns["text"][0] == "a"
    message = memory_refusal(PandasFrame(["text", "text"], [["a"], ["b"]]))
    assert message == '<frame> has "text" more than once: rename the columns'


def test_a_real_pandas_frame_is_read() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"text": ["a", "b"], "label": [1, None]})
    assert columns_of(frame)["text"] == ["a", "b"]


def test_anything_that_hands_out_arrow_data_is_read() -> None:
    class Arrow:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pl.DataFrame({"text": ["a"]}).__arrow_c_stream__(requested_schema)

    assert columns_of(Arrow()) == {"text": ["a"]}


@pytest.mark.parametrize(
    ("data", "name"),
    [(["a"], "<list>"), ({"text": ["a"]}, "<dict>"), (pl.DataFrame({"text": ["a"]}), "<frame>")],
)
def test_rows_in_memory_are_called_by_their_kind(data: object, name: str) -> None:
    assert memory_chunks(data, rows_at_a_time=1)[0] == name


@pytest.mark.parametrize(
    "data", [list("abcde"), {"text": list("abcde")}, pl.DataFrame({"text": list("abcde")})]
)
def test_rows_in_memory_come_in_pieces(data: object) -> None:
    _, pieces = memory_chunks(data, rows_at_a_time=2)
    assert [(piece.rows, piece.cells("text")) for piece in pieces] == [
        ([1, 2], ["a", "b"]),
        ([3, 4], ["c", "d"]),
        ([5], ["e"]),
    ]


@pytest.mark.parametrize("data", [[], (), {}, {"text": []}, pl.DataFrame()])
def test_nothing_in_memory_has_no_pieces(data: object) -> None:
    _, pieces = memory_chunks(data, rows_at_a_time=2)
    assert list(pieces) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (5, "data is of type int, which is no table: give a path, a list of rows"),
        (None, "data is of type NoneType"),
        (iter(["a"]), "data is of type list_iterator"),
        ({"text": "abc"}, '<dict> has str as its column "text" where a list is needed'),
        ({"text": 5}, '<dict> has int as its column "text"'),
        ({"text": {"a": 1}}, '<dict> has dict as its column "text"'),
        (
            {"text": ["a", "b"], "label": [1]},
            '<dict> has columns of unequal lengths: "text" has 2 and "label" has 1',
        ),
        ([("a",)], "<list> has 1 value in row 1: give (text, label)"),
        ([("a", "b", "c", "d")], "<list> has 4 values in row 1"),
        (
            [("a", 1), ("b",), ("c", 1, 2)],
            "<list> has 2 values in row 1 but not in rows 2 and 3: give equally many",
        ),
        ([{"text": "a"}, "b"], "<list> holds str in row 2 where a dict is needed"),
        ([("a", 1), {"text": "b"}], "<list> holds dict in row 2 where a tuple is needed"),
        (["a", 5], "<list> holds str in rows 1 and 2 where a tuple is needed"),
        ([None], "<list> holds NoneType in row 1 where a tuple is needed"),
    ],
)
def test_other_data_is_refused(data: object, words: str) -> None:
    assert memory_refusal(data).startswith(words)
