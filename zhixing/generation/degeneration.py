"""Degeneration: signs that a generated text repeats itself in a loop, or is far too long."""

from collections.abc import Sequence

MAX_PERIOD = 12
MIN_LOOP_ROUNDS = 4
# A sentence and its translation rarely differ by more; short ones may by some tokens.
MAX_TIMES_LONGER = 3.0
MAX_TIMES_SHORTER = 4.0
SPARE_TOKENS = 12


def is_loop(ids: Sequence[int], source_ids: Sequence[int] = ()) -> bool:
    """Tell whether the same tokens come again and again, in one stretch.

    What repeats in the source may repeat in its translation.

    Example:
        >>> is_loop([5, 1, 2, 1, 2, 1, 2, 1, 2]), is_loop([1, 2, 3, 1, 2])
        (True, False)
    """
    return _rounds(ids) >= max(MIN_LOOP_ROUNDS, 2 * _rounds(source_ids))


def is_unlike_in_length(count: int, source_count: int) -> bool:
    """Tell whether so many tokens are no translation of so many."""
    return (
        count > MAX_TIMES_LONGER * source_count + SPARE_TOKENS
        or source_count > MAX_TIMES_SHORTER * count + SPARE_TOKENS
    )


def max_target_tokens(source_count: int) -> int:
    """Tell how long a translation of so many tokens may become before it is cut."""
    return int(MAX_TIMES_LONGER * source_count) + 4 * SPARE_TOKENS


def _rounds(ids: Sequence[int]) -> int:
    """Count how often the most repeated stretch comes in a row; longer stretches count more."""
    best = 1
    for period in range(1, min(MAX_PERIOD, len(ids) // 2) + 1):
        same = 0
        for i in range(period, len(ids)):
            same = same + 1 if ids[i] == ids[i - period] else 0
            best = max(best, 1 + same // period)
    return best
