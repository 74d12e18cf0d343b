import pytest

from zhixing.generation.rules import is_loop, is_unlike_in_length, max_target_tokens


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], False),
        ([1, 1, 1, 1], True),
        ([9, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 8], True),
        ([1, 2, 1, 2, 1, 2], False),
        ([], False),
    ],
)
def test_a_loop_is_the_same_again_and_again(ids: list[int], found: bool) -> None:
    assert is_loop(ids) == found


def test_what_repeats_in_the_source_may_repeat() -> None:
    assert not is_loop([7] * 6, [5] * 6)
    assert is_loop([7] * 40, [5] * 6)


@pytest.mark.parametrize(
    ("count", "source", "unlike"),
    [(10, 10, False), (3, 1, False), (45, 10, True), (2, 60, True), (0, 10, False)],
)
def test_a_length_may_be_unlike(count: int, source: int, unlike: bool) -> None:
    assert is_unlike_in_length(count, source) == unlike


def test_no_length_that_is_allowed_is_cut() -> None:
    for source in range(200):
        longest = max(n for n in range(1000) if not is_unlike_in_length(n, source))
        assert longest < max_target_tokens(source)
