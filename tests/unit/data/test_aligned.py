"""Two files whose lines belong together."""

from pathlib import Path

import pytest

from zhixing.data.aligned import absolute_name, aligned_paths
from zhixing.data.readers import expand_paths, read_table, stream_tables
from zhixing.data.roles import PAIRS
from zhixing.errors import DataError


@pytest.fixture
def two_files(tmp_path: Path) -> str:
    english, french = tmp_path / "talk.en", tmp_path / "talk.fr"
    english.write_text("A dog.\n\nTwo\tcats.\r\n", encoding="utf-8")
    french.write_text("Un chien.\n\nDeux chats.\n", encoding="utf-8")
    return f"{english},{french}"


def test_line_n_of_one_goes_with_line_n_of_the_other(two_files: str) -> None:
    table = read_table(two_files, roles=PAIRS)
    assert table.texts == ["A dog.", "Two\tcats."]
    assert table.targets == ["Un chien.", "Deux chats."]
    assert table.rows == [1, 3]
    assert table.source == "talk.en and talk.fr"
    assert [part.rows for part in stream_tables(two_files, rows_at_a_time=1)] == [[1], [3]]
    assert [path.name for path in expand_paths(two_files)] == ["talk.en", "talk.fr"]


def test_unequally_many_lines_are_refused_with_both_counts(two_files: str, tmp_path: Path) -> None:
    with (tmp_path / "talk.en").open("a", encoding="utf-8") as file:
        file.write("One more.\nAnd one.\n")
    with pytest.raises(DataError, match=r"talk\.en has 5 lines and .*talk\.fr 3, .*paste"):
        read_table(two_files, roles=PAIRS)


def test_a_line_that_is_blank_on_one_side_is_told_with_its_number(
    two_files: str, tmp_path: Path
) -> None:
    (tmp_path / "talk.fr").write_text("Un chien.\n\n \n", encoding="utf-8")
    with pytest.raises(DataError, match="1 target is blank .*row 3"):
        read_table(two_files, roles=PAIRS)


def test_a_comma_in_a_name_is_only_a_comma(two_files: str, tmp_path: Path) -> None:
    odd = tmp_path / "a,b.tsv"
    odd.write_text("source\ttarget\nA\tB\n", encoding="utf-8")
    assert aligned_paths(odd) is None
    assert aligned_paths("no/such,file") is None
    both = aligned_paths(f"{odd},{odd}")
    assert both == (odd, odd)


def test_two_files_are_found_from_another_folder(
    two_files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = absolute_name("talk.en,talk.fr")
    monkeypatch.chdir("/")
    assert named == two_files
    assert absolute_name("talk.en") == "/talk.en"
