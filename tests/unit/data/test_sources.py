import errno
import gzip
import io
import os
from pathlib import Path

import pytest

from zhixing.data import sources
from zhixing.data.sources import (
    STANDARD_INPUT,
    cannot_open,
    guess_encoding,
    not_utf8,
    raw_lines,
    source_name,
    text_lines,
    why_not_text,
)
from zhixing.errors import DataError, FileError


def written(folder: Path, content: bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(text_lines(path))
    return str(caught.value)


def test_lines_come_numbered_and_without_their_ends(tmp_path: Path) -> None:
    path = written(tmp_path, "a\r\nb\n\n很好".encode())
    assert list(text_lines(path)) == [(1, "a"), (2, "b"), (3, ""), (4, "很好")]


def test_raw_lines_keep_their_ends(tmp_path: Path) -> None:
    assert list(raw_lines(written(tmp_path, b"a\r\nb"))) == [b"a\r\n", b"b"]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert list(text_lines(written(tmp_path, b""))) == []


def test_other_line_separators_of_unicode_stay_in_the_text(tmp_path: Path) -> None:
    content = "a\u2028b\x0bc\x85d\n"
    assert list(text_lines(written(tmp_path, content.encode()))) == [(1, content[:-1])]


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbftext\na\n")
    assert list(text_lines(path)) == [(1, "text"), (2, "a")]


def test_gzip_is_known_by_its_bytes_and_not_by_its_name(tmp_path: Path) -> None:
    zipped = gzip.compress(b"a\nb\n")
    assert list(text_lines(written(tmp_path, zipped, "a.csv"))) == [(1, "a"), (2, "b")]
    assert list(text_lines(written(tmp_path, b"a\n", "b.csv.gz"))) == [(1, "a")]


def test_the_offset_of_a_bad_byte_counts_the_mark_and_the_lines_before(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfab\r\ncd\xe9 f\n")
    assert "at byte 9 (line 2)" in refusal(path)
    assert path.read_bytes()[9:10] == b"\xe9"


def test_windows_text_is_refused_with_the_command_that_converts_it(tmp_path: Path) -> None:
    path = written(tmp_path, "text\ntrès bien, déjà vu\n".encode("cp1252"), "my file.csv")
    assert refusal(path) == (
        f"{path} is not UTF-8 at byte 7 (line 2); it looks like WINDOWS-1252: run "
        f"\"iconv -f WINDOWS-1252 -t UTF-8 < '{path}' > '{tmp_path}/mended-my file.csv'\""
    )


def test_the_command_that_is_recommended_mends_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "text\n很好的酒店\n".encode("gbk"))
    command = refusal(path).split('"')[1]
    assert os.system(command) == 0
    assert list(text_lines(tmp_path / "mended-a.csv")) == [(1, "text"), (2, "很好的酒店")]


def test_the_command_unpacks_a_gzip_file_first(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress("très\n".encode("latin-1")), "a.csv.gz")
    command = refusal(path).split('"')[1]
    assert command.startswith("gunzip -c ") and command.endswith("mended-a.csv")
    assert os.system(command) == 0
    assert list(text_lines(tmp_path / "mended-a.csv")) == [(1, "très")]


def test_damaged_utf8_is_told_from_another_encoding(tmp_path: Path) -> None:
    path = written(tmp_path, "很好很好\n".encode() + b"a\xffb\n")
    message = refusal(path)
    assert "is damaged at byte 14 (line 2)" in message
    assert "iconv -c -f UTF-8 -t UTF-8" in message


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        ("une très belle journée d'été", "latin-1", "WINDOWS-1252"),
        ("“smart” quotes – and dashes", "cp1252", "WINDOWS-1252"),
        ("这家酒店的服务非常好", "gbk", "GB18030"),
        ("朱镕基和陶喆都来过", "gbk", "GB18030"),
        ("這家酒店的服務非常好，下次還會再來", "big5", "BIG5"),
        ("a\x81\x8d", "latin-1", "ISO-8859-1"),
        ("很好很好", "utf-8", "UTF-8"),
    ],
)
def test_encodings_are_guessed(text: str, codec: str, name: str) -> None:
    sample = text.encode(codec)
    assert guess_encoding(sample + b"\xff" if name == "UTF-8" else sample) == name


@pytest.mark.parametrize(
    ("codec", "name"), [("utf-16", "UTF-16"), ("utf-32", "UTF-32")], ids=["16", "32"]
)
def test_wide_encodings_are_known_by_their_mark(tmp_path: Path, codec: str, name: str) -> None:
    message = refusal(written(tmp_path, "text,label\na,1\n".encode(codec)))
    assert f'is {name}, not UTF-8: run "iconv -f {name} -t UTF-8' in message


def test_a_nul_byte_is_refused_with_its_place(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, b"ab\ncd\0e\n"))
    assert "a NUL byte at offset 5 (line 2)" in message


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"PK\x03\x04\x14", "a ZIP archive or a spreadsheet: save the table as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1", "an old spreadsheet"),
        (b"PAR1\x15", "a Parquet file: give it the ending .parquet"),
        (b"BZh91AY", "bzip2: unpack it with bunzip2"),
        (b"\xfd7zXZ\x00", "xz: unpack it with unxz"),
        (b"\x28\xb5\x2f\xfd", "zstd: unpack it with unzstd"),
    ],
)
def test_other_kinds_of_file_are_named(tmp_path: Path, first: bytes, words: str) -> None:
    assert f"is not text but {words}" in refusal(written(tmp_path, first)).replace(
        "compressed with ", ""
    )


def test_lone_carriage_returns_are_refused_with_the_command(tmp_path: Path) -> None:
    path = written(tmp_path, b"text,label\ra,1\r")
    command = refusal(path).split('"')[1]
    assert os.system(command) == 0
    assert list(text_lines(tmp_path / "mended-a.csv")) == [(1, "text,label"), (2, "a,1")]


def test_plain_text_has_no_reason_against_it() -> None:
    assert why_not_text(b"text,label\r\n", Path("a")) is None


def test_a_line_of_five_megabytes_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, b"x" * 5_000_000 + b"\ny")
    assert [len(line) for _, line in text_lines(path)] == [5_000_000, 1]


def test_a_longer_line_than_allowed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 2**20)
    assert "has a line of more than 1 MB" in refusal(written(tmp_path, b"x" * (2**20 + 1)))
    assert len(list(text_lines(written(tmp_path, b"x" * 2**20)))) == 1


@pytest.mark.parametrize("keep", [5, 12, 30])
def test_a_gzip_file_that_is_cut_off_cannot_be_read(tmp_path: Path, keep: int) -> None:
    path = written(tmp_path, gzip.compress(os.urandom(1000).hex().encode())[:keep])
    with pytest.raises(FileError, match="cannot be read to its end"):
        list(text_lines(path))


def test_a_damaged_gzip_file_cannot_be_read(tmp_path: Path) -> None:
    zipped = bytearray(gzip.compress(b"some text\n" * 100))
    zipped[15:20] = b"\xff" * 5
    with pytest.raises(FileError, match="cannot be read to its end"):
        list(text_lines(written(tmp_path, bytes(zipped))))


def test_a_file_that_is_not_there_is_told_with_its_neighbour(tmp_path: Path) -> None:
    path = written(tmp_path, b"a", "reviews.csv")
    with pytest.raises(FileError) as caught:
        list(text_lines(tmp_path / "reviws.csv"))
    assert str(caught.value) == (
        f'there is no file {tmp_path / "reviws.csv"}: did you mean "{path}"?'
    )


def test_a_missing_folder_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="and no folder .*nowhere either"):
        list(text_lines(tmp_path / "nowhere" / "a.csv"))


def test_a_file_without_a_like_name_gets_no_guess(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"there is no file .*x\.csv: check the path"):
        list(text_lines(tmp_path / "x.csv"))


def test_a_path_no_system_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"a\\0b cannot be opened \(embedded null byte\)"):
        list(text_lines(Path("a\0b")))
    with pytest.raises(FileError, match="cannot be opened") as caught:
        list(text_lines(Path("x" * 5000)))
    assert len(str(caught.value)) < 300


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(FileError, match="loop cannot be opened"):
        list(text_lines(loop))


def test_permissions_and_folders_have_sentences_of_their_own() -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    assert cannot_open(Path("a.csv"), denied) == (
        "a.csv may not be read by this user: change its permissions (chmod u+r)"
    )
    folder = cannot_open(Path("data"), IsADirectoryError(errno.EISDIR, "Is a directory"))
    assert folder.startswith("data is a folder, not a file") and '"data/*.csv"' in folder


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, b"a")
    path.chmod(0)
    with pytest.raises(FileError, match="may not be read by this user"):
        list(text_lines(path))


class FaultyStream(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError(errno.EIO, "Input/output error")


def piped(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    class Stdin:
        buffer = stream

    monkeypatch.setattr("sys.stdin", Stdin())


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (io.BytesIO(b"a\nb"), io.BufferedReader(io.BytesIO(b"a\nb"))):
        piped(monkeypatch, stream)
        assert list(text_lines(STANDARD_INPUT)) == [(1, "a"), (2, "b")]


def test_gzip_on_standard_input_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, io.BytesIO(gzip.compress(b"a\nb")))
    assert list(text_lines(STANDARD_INPUT)) == [(1, "a"), (2, "b")]


def test_faults_on_standard_input_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, io.BytesIO("déjà\n".encode("latin-1")))
    assert refusal(STANDARD_INPUT) == (
        "<stdin> is not UTF-8 at byte 1 (line 1); it looks like WINDOWS-1252: put "
        '"iconv -f WINDOWS-1252 -t UTF-8" before this command'
    )
    piped(monkeypatch, io.BytesIO(b"a\rb"))
    assert "put \"tr '\\r' '\\n'\" before this command" in refusal(STANDARD_INPUT)


def test_a_device_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, io.BufferedReader(FaultyStream()))
    with pytest.raises(FileError, match="<stdin> cannot be read to its end .*Input/output error"):
        list(text_lines(STANDARD_INPUT))


def test_sources_are_called_by_their_path() -> None:
    assert source_name(Path("data/a.csv")) == "data/a.csv"
    assert source_name(STANDARD_INPUT) == "<stdin>"


def test_the_place_of_the_fault_is_in_the_sentence() -> None:
    message = not_utf8(Path("a.csv"), b"\xe9 a", offset=1234, line=56)
    assert "at byte 1234 (line 56)" in message
