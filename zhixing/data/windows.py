"""Sliding windows over long texts, overlapping; nothing is lost, and Coverage says so."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from zhixing.errors import DataError


@dataclass(frozen=True)
class Coverage:
    """Say how much of a text was read: tokens, special ones not counted."""

    read: int
    total: int

    def to_dict(self) -> dict[str, int]:
        """Give plain values."""
        return asdict(self)


def window_bounds(length: int, *, size: int, overlap: int) -> list[tuple[int, int]]:
    """Cut `length` tokens into windows of at most `size`, evenly, neighbours overlapping.

    The fewest windows are taken that overlap by at least `overlap`; they are then spread evenly,
    so that no last window is a mere remnant.

    Returns:
        First token and the one after the last, of each window.

    Example:
        >>> window_bounds(10, size=6, overlap=2)
        [(0, 6), (4, 10)]
    """
    if size < 1 or not 0 <= overlap < size:
        raise DataError(
            f"windows of {size} tokens cannot overlap by {overlap}; choose 0 to size - 1"
        )
    if length <= size:
        return [(0, length)]
    step = size - overlap
    count = 1 + -(-(length - size) // step)
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)]
    return [(start, start + size) for start in starts]


def even_parts(length: int, *, size: int) -> list[tuple[int, int]]:
    """Part `length` tokens into the fewest parts of at most `size`, evenly; none overlaps.

    Returns:
        First token and the one after the last, of each part.

    Example:
        >>> even_parts(10, size=6)
        [(0, 5), (5, 10)]
    """
    if size < 1:
        raise DataError(f"parts of {size} tokens hold nothing; choose at least 1")
    count = max(-(-length // size), 1)
    edges = [length * i // count for i in range(count + 1)]
    return list(zip(edges[:-1], edges[1:], strict=True))


def spread(count: int, *, at_most: int) -> list[int]:
    """Choose `at_most` of `count` things evenly, the first and the last among them.

    Example:
        >>> spread(10, at_most=4)
        [0, 3, 6, 9]
    """
    if count <= at_most:
        return list(range(count))
    if at_most == 1:
        return [0]
    return [round(i * (count - 1) / (at_most - 1)) for i in range(at_most)]


def covered(bounds: Sequence[tuple[int, int]]) -> int:
    """Count the tokens that stand in at least one of some windows given in order."""
    total, reached = 0, 0
    for start, stop in bounds:
        total += max(stop - max(start, reached), 0)
        reached = max(reached, stop)
    return total


def pair_bounds(
    first: int, second: int, *, room: int, overlap: int
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Cut a pair of texts into windows that hold a part of both.

    If one of them takes at most half of the room it stays whole, and the other is cut into what
    is left. If both take more than half, each is cut to half the room and every part of one meets
    every part of the other.

    Returns:
        For each window, the bounds within the first and within the second text.
    """
    if first + second <= room:
        return [((0, first), (0, second))]
    half = room // 2
    if second <= half:
        size = room - second
        parts = window_bounds(first, size=size, overlap=min(overlap, size // 2))
        return [(part, (0, second)) for part in parts]
    if first <= half:
        size = room - first
        parts = window_bounds(second, size=size, overlap=min(overlap, size // 2))
        return [((0, first), part) for part in parts]
    share = min(overlap, half // 2)
    firsts = window_bounds(first, size=half, overlap=share)
    seconds = window_bounds(second, size=half, overlap=share)
    return [(a, b) for a in firsts for b in seconds]
