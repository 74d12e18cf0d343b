"""How counts, rows and names read in a message about data."""

from collections.abc import Iterable, Sequence


def counted(number: int, noun: str) -> str:
    """Put a number before its noun, with an s where there is more than one.

    Example:
        >>> counted(1, "row"), counted(12000, "row")
        ('1 row', '12,000 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def numbered(numbers: Sequence[int], noun: str = "row", *, shown: int = 5, total: int = 0) -> str:
    """Name rows by their numbers, the first few in full.

    `total` is how many there are, where `numbers` holds only the first of them.

    Example:
        >>> numbered([4]), numbered([4, 9, 12]), numbered([1, 2, 3, 4], shown=2)
        ('row 4', 'rows 4, 9 and 12', 'rows 1, 2 and 2 more')
    """
    first = [str(number) for number in numbers[:shown]]
    more = max(total, len(numbers)) - len(first)
    noun = noun if more == 0 and len(first) == 1 else f"{noun}s"
    return f"{noun} {joined([*first, f'{more:,} more'] if more else first)}"


def joined(items: Sequence[str]) -> str:
    """Set items in one line, the last after an "and".

    Example:
        >>> joined(["a", "b", "c"])
        'a, b and c'
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def quoted(names: Iterable[str], *, shown: int = 12) -> str:
    """Set names in quotation marks, the first few in full.

    Example:
        >>> quoted(["text", "label"])
        '"text", "label"'
    """
    names = list(names)
    first = ", ".join(f'"{clipped(name)}"' for name in names[:shown])
    return f"{first} and {len(names) - shown:,} more" if len(names) > shown else first


def folded(text: str) -> str:
    """Leave case and white space out of account, so that texts can be compared.

    Example:
        >>> folded(" So  be it")
        'so be it'
    """
    return " ".join(text.casefold().split())


def clipped(text: str, *, length: int = 40) -> str:
    r"""Shorten a value found in the data so that a message stays one line.

    Example:
        >>> clipped("good\nbad"), clipped("a" * 50, length=5)
        ('good bad', 'aaaaa…')
    """
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else f"{line[:length]}…"
