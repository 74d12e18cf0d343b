"""Parallel corpora: two text files, line n of one being the translation of line n."""

import os
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from zhixing.data.cells import is_blank
from zhixing.data.chunks import MAX_CHUNK_CHARACTERS, Chunk
from zhixing.data.sources import text_lines
from zhixing.errors import DataError

PATH_SEPARATOR = ","


def aligned_paths(data: str | Path) -> tuple[Path, Path] | None:
    """Part "train.en,train.fr" into its two files; None for the name of a file or a pattern.

    A file that has the whole name wins; then the first comma with a file on either side.
    """
    name = str(data)
    if PATH_SEPARATOR not in name or _is_file(name):
        return None
    for at, character in enumerate(name):
        first, second = name[:at].strip(), name[at + 1 :].strip()
        if character == PATH_SEPARATOR and _is_file(first) and _is_file(second):
            return Path(first), Path(second)
    return None


def absolute_name(data: str | Path) -> str:
    """Name a file, a pattern or two files so that they are found from any folder."""
    aligned = aligned_paths(data)
    if aligned is None:
        return os.path.abspath(data)
    return PATH_SEPARATOR.join(os.path.abspath(path) for path in aligned)


def aligned_chunks(first: Path, second: Path, *, rows_at_a_time: int) -> Iterator[Chunk]:
    """Read two files line by line, as columns "source" and "target".

    A line that is blank in both is skipped but counted, as it is between paragraphs.

    Raises:
        FileError: One of them cannot be read.
        DataError: One of them is not UTF-8 text, or they have unequally many lines.
    """
    rows: list[int] = []
    sources: list[object] = []
    targets: list[object] = []
    size = count = 0
    lines = zip_longest(text_lines(first), text_lines(second))
    for source, target in lines:
        if source is None or target is None:
            shorter, longer = (first, second) if source is None else (second, first)
            total = count + 1 + sum(1 for _ in lines)
            raise DataError(
                f"{longer} has {total:,} lines and {shorter} {count:,}, but line n of one has to "
                f"be the translation of line n of the other; look for the line that is missing or "
                f"split, for instance with: paste {first} {second}"
            )
        count += 1
        if is_blank(source[1]) and is_blank(target[1]):
            continue
        rows.append(count)
        sources.append(source[1])
        targets.append(target[1])
        size += len(source[1]) + len(target[1])
        if len(rows) == rows_at_a_time or size > MAX_CHUNK_CHARACTERS:
            yield Chunk(rows, {"source": sources, "target": targets})
            rows, sources, targets, size = [], [], [], 0
    if rows:
        yield Chunk(rows, {"source": sources, "target": targets})


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False
