import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zhixing.data.windows import Coverage, covered, pair_bounds, spread, window_bounds
from zhixing.errors import DataError


@given(st.integers(0, 400), st.integers(1, 60), st.integers(0, 59))
def test_windows_hold_every_token_and_overlap_as_asked(
    length: int, size: int, overlap: int
) -> None:
    assume(overlap < size)
    bounds = window_bounds(length, size=size, overlap=overlap)
    assert bounds[0][0] == 0 and bounds[-1][1] == length
    assert covered(bounds) == length
    assert all(stop - start <= size for start, stop in bounds)
    for (_, stop), (start, _) in zip(bounds, bounds[1:], strict=False):
        assert stop - start >= overlap


@given(st.integers(1, 400), st.integers(2, 60))
def test_no_window_is_a_mere_remnant(length: int, size: int) -> None:
    bounds = window_bounds(length, size=size, overlap=0)
    assert len({stop - start for start, stop in bounds}) == 1


def test_the_fewest_windows_are_taken() -> None:
    assert window_bounds(12, size=6, overlap=0) == [(0, 6), (6, 12)]
    assert len(window_bounds(13, size=6, overlap=0)) == 3
    assert window_bounds(0, size=6, overlap=2) == [(0, 0)]


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (4, 4), (4, -1)])
def test_an_overlap_as_long_as_the_window_is_refused(size: int, overlap: int) -> None:
    with pytest.raises(DataError, match=f"windows of {size} tokens cannot overlap by {overlap}"):
        window_bounds(10, size=size, overlap=overlap)


@given(st.integers(1, 200), st.integers(1, 30))
def test_a_choice_among_many_is_even_and_keeps_both_ends(count: int, at_most: int) -> None:
    chosen = spread(count, at_most=at_most)
    assert len(chosen) == min(count, at_most) == len(set(chosen))
    assert chosen == sorted(chosen) and chosen[0] == 0
    if at_most > 1:
        assert chosen[-1] == count - 1
        gaps = [b - a for a, b in zip(chosen, chosen[1:], strict=False)]
        assert max(gaps, default=0) - min(gaps, default=0) <= 1


def test_overlaps_are_counted_once() -> None:
    assert covered([(0, 6), (4, 10)]) == 10
    assert covered([(0, 3), (7, 9)]) == 5
    assert covered([(0, 9), (2, 4)]) == 9
    assert covered([]) == 0


def test_a_pair_that_fits_is_one_window() -> None:
    assert pair_bounds(3, 4, room=7, overlap=2) == [((0, 3), (0, 4))]


@pytest.mark.parametrize("side", [0, 1])
def test_the_short_text_of_a_pair_stays_whole(side: int) -> None:
    lengths = (20, 3) if side == 1 else (3, 20)
    bounds = pair_bounds(*lengths, room=10, overlap=2)
    assert {pair[side] for pair in bounds} == {(0, 3)}
    assert covered([pair[1 - side] for pair in bounds]) == 20


def test_of_two_long_texts_every_part_meets_every_part() -> None:
    bounds = pair_bounds(8, 12, room=8, overlap=0)
    firsts, seconds = ({pair[side] for pair in bounds} for side in (0, 1))
    assert firsts == {(0, 4), (4, 8)}
    assert seconds == {(0, 4), (4, 8), (8, 12)}
    assert len(bounds) == len(set(bounds)) == 6


@given(st.integers(0, 60), st.integers(0, 60), st.integers(2, 30), st.integers(0, 8))
def test_pairs_are_wholly_covered_within_the_room(
    first: int, second: int, room: int, overlap: int
) -> None:
    bounds = pair_bounds(first, second, room=room, overlap=overlap)
    for side, length in ((0, first), (1, second)):
        assert covered(sorted({pair[side] for pair in bounds})) == length
    assert all(b - a + d - c <= room for (a, b), (c, d) in bounds)


def test_coverage_gives_plain_values() -> None:
    assert Coverage(read=3, total=5).to_dict() == {"read": 3, "total": 5}
