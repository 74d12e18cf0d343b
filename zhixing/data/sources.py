"""Files, gzip and standard input as numbered lines of UTF-8 text, in bounded memory."""

import gzip
import io
import shlex
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from zhixing.errors import DataError, FileError

STANDARD_INPUT = Path("-")

# A longer line is no text that anyone wrote; without a bound, one file without a line end would
# fill the memory.
MAX_LINE_BYTES = 64 * 2**20

UTF8_MARK = b"\xef\xbb\xbf"
_GZIP_MARK = b"\x1f\x8b"

# What a file is that starts with these bytes, and what to do with it.
_FOREIGN_MARKS = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet: save the table as CSV",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet: save the table as CSV",
    b"PAR1": "a Parquet file: give it the ending .parquet, or say format='parquet'",
    b"BZh": "compressed with bzip2: unpack it with bunzip2",
    b"\xfd7zXZ\x00": "compressed with xz: unpack it with unxz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it with unzstd",
}
_WIDE_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}

_CODECS = {"gb2312": "GB18030", "big5": "BIG5", "gb18030": "GB18030", "cp1252": "WINDOWS-1252"}


def source_name(path: Path) -> str:
    """Name a source as messages and tables call it: its path, or <stdin>."""
    return "<stdin>" if path == STANDARD_INPUT else str(path)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read UTF-8 text as pairs of line number (from 1) and line, without the line ends.

    A line ends with LF or CRLF. A byte order mark is dropped. A gzip file is known by its first
    bytes, whatever its name.

    Raises:
        FileError: The file cannot be opened or read to its end.
        DataError: It is not UTF-8, holds a NUL byte, is another kind of file, ends its lines with
            a lone carriage return, or has a line of more than `MAX_LINE_BYTES`.
    """
    offset = 0
    sound = b""
    lines = raw_lines(path)
    for number, raw in enumerate(lines, start=1):
        length = len(raw)
        if number == 1:
            foreign = why_not_text(raw, path)
            if foreign is not None:
                raise DataError(foreign)
            raw = raw.removeprefix(UTF8_MARK)
            offset = length - len(raw)
            length = len(raw)
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            sample = sound + raw + b"".join(islice(lines, 20))
            message = not_utf8(path, sample, offset=offset + error.start, line=number)
            raise DataError(message) from error
        if "\0" in line:
            where = offset + raw.index(b"\0")
            raise DataError(
                f"{source_name(path)} holds a NUL byte at offset {where} (line {number}), which no "
                "text has; it is a binary file, damaged, or UTF-16: save it as UTF-8 text"
            )
        offset += length
        sound = sound if raw.isascii() else raw
        yield number, line.removesuffix("\n").removesuffix("\r")


def raw_lines(path: Path) -> Iterator[bytes]:
    """Read lines as bytes, line ends included; `text_lines` says what is refused."""
    with _opened(path) as file:
        stream = _unzipped(file) if _is_gzip(file, path) else file
        while raw := _line(stream, path):
            if len(raw) > MAX_LINE_BYTES:
                raise DataError(
                    f"{source_name(path)} has a line of more than {MAX_LINE_BYTES // 2**20} MB; "
                    "one row a line is expected: break it up"
                )
            yield raw


def why_not_text(first: bytes, path: Path) -> str | None:
    """Say what a file is that starts with this line, if it is not UTF-8 text with lines."""
    for mark, name in _WIDE_MARKS.items():
        if first.startswith(mark):
            return f"{source_name(path)} is {name}, not UTF-8: {_conversion(path, name)}"
    for mark, kind in _FOREIGN_MARKS.items():
        if first.startswith(mark):
            return f"{source_name(path)} is not text but {kind}"
    if b"\r" in first.rstrip(b"\r\n") or first.endswith(b"\r"):
        return (
            f"{source_name(path)} ends its lines with a lone carriage return, as old programs "
            f"did: {_command(path, 'tr', chr(92) + 'r', chr(92) + 'n')}"
        )
    return None


def not_utf8(path: Path, sample: bytes, *, offset: int, line: int) -> str:
    """Say where a file stops being UTF-8, what it looks like, and the command that mends it.

    The sample holds the line that is not UTF-8, and others for comparison; the offset counts in the
    unpacked file.
    """
    encoding = guess_encoding(sample)
    if encoding == "UTF-8":
        remedy = _command(path, "iconv", "-c", "-f", "UTF-8", "-t", "UTF-8")
        return (
            f"{source_name(path)} is damaged at byte {offset} (line {line}), where it is not "
            f"UTF-8 as the rest is: {remedy}, which drops such bytes"
        )
    return (
        f"{source_name(path)} is not UTF-8 at byte {offset} (line {line}); it looks like "
        f"{encoding}: {_conversion(path, encoding)}"
    )


def guess_encoding(sample: bytes) -> str:
    """Guess the encoding of text that is not UTF-8.

    A Chinese encoding is named only where every byte of the sample fits it and ideographs abound.
    "UTF-8" means damaged UTF-8: most of what is not ASCII is
    sound.

    Example:
        >>> guess_encoding("très bien".encode("latin-1")), guess_encoding("很好".encode("gbk"))
        ('WINDOWS-1252', 'GB18030')
    """
    decoded = sample.decode("utf-8", "replace")
    damaged = decoded.count("\ufffd")
    # Chinese in its older encodings is half sound by chance, never three quarters.
    if sum(character > "\x7f" for character in decoded) >= 4 * damaged > 0:
        return "UTF-8"
    for codec, name in _CODECS.items():
        try:
            decoded = sample.decode(codec)
        except UnicodeDecodeError:
            continue
        ideographs = sum("\u3000" <= character <= "\u9fff" for character in decoded)
        letters = sum("A" <= character <= "z" for character in decoded)
        # In big5 and gb18030, an accented letter and its neighbour often make an ideograph.
        if codec in ("gb2312", "cp1252") or ideographs > letters:
            return name
    return "ISO-8859-1"


def cannot_open(path: Path, error: OSError | ValueError) -> str:
    """Say in one sentence why a path cannot be opened, with the file that may have been meant."""
    if isinstance(error, IsADirectoryError):
        return f'{path} is a folder, not a file: name a file, or a pattern such as "{path}/*.csv"'
    if isinstance(error, PermissionError):
        return f"{path} may not be read by this user: change its permissions (chmod u+r)"
    if not isinstance(error, FileNotFoundError):
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"{clip_path(path)} cannot be opened ({reason}): check the path"
    if not path.parent.is_dir():
        return f"there is no file {path}, and no folder {path.parent} either: check the path"
    names = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    near = get_close_matches(path.name, names, n=1)
    hint = f'did you mean "{path.with_name(near[0])}"?' if near else "check the path"
    return f"there is no file {path}: {hint}"


def clip_path(path: Path) -> str:
    """Show a path in a message, printable and not too long."""
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 200 else f"{text[:200]}…"


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    if path == STANDARD_INPUT:
        buffer: Any = sys.stdin.buffer
        # Anything may have been put in the place of sys.stdin; only a reader can be looked ahead.
        yield buffer if isinstance(buffer, io.BufferedReader) else io.BufferedReader(buffer)
        return
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise FileError(cannot_open(path, error)) from error
    with file:
        yield file


def _is_gzip(file: io.BufferedReader, path: Path) -> bool:
    try:
        return file.peek(2)[:2] == _GZIP_MARK
    except OSError as error:
        raise FileError(_unreadable(path, error)) from error


def _unzipped(file: io.BufferedReader) -> io.BufferedReader:
    # Any: the stubs know GzipFile as no raw stream, which it is when it is read.
    unzipped: Any = gzip.GzipFile(fileobj=file)
    return io.BufferedReader(unzipped)


def _line(stream: io.BufferedReader, path: Path) -> bytes:
    try:
        return stream.readline(MAX_LINE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(_unreadable(path, error)) from error


def _conversion(path: Path, encoding: str) -> str:
    if path == STANDARD_INPUT:
        return f'put "iconv -f {encoding} -t UTF-8" before this command'
    return _command(path, "iconv", "-f", encoding, "-t", "UTF-8")


def _command(path: Path, *words: str) -> str:
    if path == STANDARD_INPUT:
        return f'put "{shlex.join(words)}" before this command'
    new = path.with_name(f"mended-{path.name.removesuffix('.gz')}")
    start = f"gunzip -c {shlex.quote(str(path))} | " if path.suffix == ".gz" else ""
    end = "" if start else f" < {shlex.quote(str(path))}"
    return f'run "{start}{shlex.join(words)}{end} > {shlex.quote(str(new))}"'


def _unreadable(path: Path, error: Exception) -> str:
    reason = str(error) or type(error).__name__
    return f"{source_name(path)} cannot be read to its end ({reason}): copy or make it again"
