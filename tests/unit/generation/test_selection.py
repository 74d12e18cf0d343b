"""What is chosen and how it is ranked, over chances that can be worked out by hand."""

import math
from collections import Counter

import pytest
from unit.generation.test_search import END, GARDEN, Table

from zhixing.generation.search import search
from zhixing.generation.selection import Hypothesis
from zhixing.generation.settings import SearchSettings

SETTINGS = SearchSettings(start_id=1, end_ids=(END,), max_new_tokens=6)
PAIR = SETTINGS.changed(num_beams=2, num_results=2)
BOTH = PAIR.changed(early_stopping="yes")


def written(table: Table, settings: SearchSettings) -> list[Hypothesis]:
    """Write about one input, and let the table count the steps."""
    table.read.clear()
    return search(table, [7], settings, sequences=1)[0]


# Two ways to write: nothing at all, with 0.6; or "3" after "2", with 0.4 * 0.75 = 0.3.
SHORT_OR_LONG = Table(
    {
        (-1,): [0.6, 0.0, 0.4, 0.0, 0.0],
        (-1, 2): [0.0, 0.0, 0.0, 0.75, 0.25],
        (-1, 2, 3): [1.0, 0.0, 0.0, 0.0, 0.0],
        (-1, 2, 4): [0.0, 0.0, 0.0, 0.0, 1.0],
    }
)


@pytest.mark.parametrize(
    ("penalty", "short", "long"),
    [
        (0.0, -0.51083, -1.20397),
        (0.5, -0.51083, -0.69511),
        (1.0, -0.51083, -0.40132),
        (2.0, -0.51083, -0.13377),
        (-1.0, -0.51083, -3.61192),
    ],
)
def test_a_score_is_divided_by_the_length_to_the_penaltys_power(
    penalty: float, short: float, long: float
) -> None:
    found = written(SHORT_OR_LONG, BOTH.changed(length_penalty=penalty))
    scores = {one.ids: one.score for one in found}
    assert scores == {
        (END,): pytest.approx(short, abs=1e-5),
        (2, 3, END): pytest.approx(long, abs=1e-5),
    }


@pytest.mark.parametrize(("penalty", "is_long_first"), [(0.5, False), (1.0, True), (2.0, True)])
def test_the_best_comes_first_by_its_penalized_score(penalty: float, is_long_first: bool) -> None:
    found = written(SHORT_OR_LONG, BOTH.changed(length_penalty=penalty))
    assert [len(one.ids) for one in found] == ([3, 1] if is_long_first else [1, 3])


@pytest.mark.parametrize(("penalty", "score"), [(0.0, -0.91629), (1.0, -0.45815), (2.0, -0.22907)])
def test_the_penalty_counts_without_a_beam_too(penalty: float, score: float) -> None:
    table = Table({(-1,): [0.2, 0.0, 0.8, 0.0, 0.0], (-1, 2): [0.5, 0.0, 0.3, 0.2, 0.0]})
    (found,) = written(table, SETTINGS.changed(length_penalty=penalty))
    assert found.ids == (2, END)
    assert found.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([0.3, 0.0, 0.5, 0.2, 0.0], [(END,), (2, END)]),
        ([0.2, 0.0, 0.5, 0.3, 0.0], [(2, END), (3, END)]),
    ],
)
def test_only_a_candidate_among_the_first_of_a_beam_may_end(
    first: list[float], expected: list[tuple[int, ...]]
) -> None:
    sure = [1.0, 0.0, 0.0, 0.0, 0.0]
    table = Table({(-1,): first, (-1, 2): sure, (-1, 3): sure})
    # With this penalty what is shorter is better: log 0.2 alone would be above twice log 0.3.
    found = written(table, PAIR.changed(length_penalty=-1.0))
    assert [one.ids for one in found] == expected


def test_a_beam_goes_on_in_full_when_all_of_its_best_candidates_end() -> None:
    table = Table(
        {
            (-1,): [0.0, 0.0, 0.6, 0.4, 0.0],
            (-1, 2): [0.35, 0.0, 0.0, 0.3, 0.35],
            (-1, 3): [0.45, 0.0, 0.1, 0.0, 0.45],
            (-1, 2, 3): [1.0, 0.0, 0.0, 0.0, 0.0],
        }
    )
    # 0.21 and 0.21, 0.18 (goes on), 0.18 and 0.18: with two ends there are six candidates.
    settings = PAIR.changed(end_ids=(END, 4), length_penalty=2.0, early_stopping="never")
    found = written(table, settings)
    assert found[0].ids == (2, 3, END)
    assert found[0].score == pytest.approx(math.log(0.18) / 9, abs=1e-5)


# (END) 0.3, (2, END) 0.36, then (2, 4, END) 0.24 and (3, 4, 2, END) 0.1.
LATER = Table(
    {
        (-1,): [0.3, 0.0, 0.6, 0.1, 0.0],
        (-1, 2): [0.6, 0.0, 0.0, 0.0, 0.4],
        (-1, 3): [0.0, 0.0, 0.0, 0.0, 1.0],
        (-1, 2, 4): [1.0, 0.0, 0.0, 0.0, 0.0],
        (-1, 3, 4): [0.0, 0.0, 1.0, 0.0, 0.0],
        (-1, 3, 4, 2): [1.0, 0.0, 0.0, 0.0, 0.0],
    }
)


@pytest.mark.parametrize(
    ("early", "steps", "expected"),
    [
        # As soon as two have ended, whatever else there is.
        ("yes", 2, [(2, END), (END,)]),
        # log 0.24 / 2 beats log 0.3 / 1 after two steps; log 0.1 / 3 beats nothing after three.
        ("no", 3, [(2, 4, END), (2, END)]),
        # log 0.1 / 6 would beat log 0.36 / 2, were it to go on to the longest.
        ("never", 4, [(2, 4, END), (2, END)]),
    ],
)
def test_a_beam_stops_at_the_step_at_which_it_has_enough(
    early: str, steps: int, expected: list[tuple[int, ...]]
) -> None:
    found = written(LATER, PAIR.changed(early_stopping=early))
    assert [one.ids for one in found] == expected
    assert len(LATER.read) == steps


def test_one_that_never_stops_early_finds_a_better_end_later() -> None:
    table = Table(
        {
            (-1,): [0.0, 0.0, 0.6, 0.4, 0.0],
            (-1, 2): [0.7, 0.0, 0.0, 0.0, 0.3],
            (-1, 3): [0.75, 0.0, 0.0, 0.0, 0.25],
            (-1, 2, 4): [1.0, 0.0, 0.0, 0.0, 0.0],
        }
    )
    found = {
        early: [one.ids for one in written(table, PAIR.changed(early_stopping=early))]
        for early in ("no", "never")
    }
    # log 0.18 / 2 does not beat log 0.3 / 2, and log 0.18 / 3 does.
    assert found["no"] == [(2, END), (3, END)]
    assert found["never"] == [(2, END), (2, 4, END)]


@pytest.mark.parametrize("early", ["no", "never"])
def test_where_longer_is_worse_the_best_that_may_come_is_to_end_now(early: str) -> None:
    table = Table(
        {
            (-1,): [0.3, 0.0, 0.7, 0.0, 0.0],
            (-1, 2): [0.45, 0.0, 0.0, 0.0, 0.55],
            (-1, 2, 4): [1.0, 0.0, 0.0, 0.0, 0.0],
        }
    )
    found = written(table, PAIR.changed(early_stopping=early, length_penalty=-1.0))
    # Twice log 0.385 beats twice log 0.315, so a third step is taken; three times does not.
    assert len(table.read) == 3
    assert [one.ids for one in found] == [(END,), (2, END)]


def test_what_a_beam_gives_has_the_probabilities_of_its_own_tokens() -> None:
    # The better one goes on from the hypothesis that was the second.
    found = written(GARDEN, PAIR.changed(length_penalty=0.0))
    assert [one.ids for one in found] == [(3, END), (2, END)]
    for one, chances in zip(found, [(0.4, 0.9), (0.5, 0.4)], strict=True):
        assert one.log_probs == pytest.approx([math.log(chance) for chance in chances], abs=1e-6)
        assert one.has_ended


def test_a_beam_that_is_cut_says_so() -> None:
    sure = [1.0, 0.0, 0.0, 0.0, 0.0]
    table = Table({(-1,): [0.1, 0, 0.5, 0.4, 0], (-1, 2): [0, 0, 0.9, 0.1, 0], (-1, 3): sure})
    found = written(table, PAIR.changed(max_new_tokens=2))
    assert [(one.ids, one.has_ended) for one in found] == [((2, 2), False), ((3, END), True)]


@pytest.mark.parametrize("changes", [{"num_beams": 1}, {"num_beams": 3, "num_results": 3}])
def test_neighbours_that_are_done_earlier_change_no_result(changes: dict[str, int]) -> None:
    rows = {
        (5, 1): [0.7, 0.0, 0.3, 0.0, 0.0],
        (6, 1): [0.1, 0.0, 0.4, 0.3, 0.2],
        (6, 1, 2): [0.1, 0.0, 0.2, 0.6, 0.1],
        (6, 1, 3): [0.5, 0.0, 0.2, 0.2, 0.1],
        (8, 1): [0.0, 0.0, 0.1, 0.2, 0.7],
        (8, 1, 4): [0.1, 0.0, 0.1, 0.7, 0.1],
        (8, 1, 4, 3): [0.6, 0.0, 0.2, 0.1, 0.1],
        (6, 1, 2, 3): [0.8, 0.0, 0.05, 0.05, 0.1],
    }
    settings = SETTINGS.changed(**changes)
    alone = [search(Table(rows), [one], settings, sequences=1)[0] for one in (5, 6, 8)]
    together = search(Table(rows), [5, 6, 8], settings, sequences=3)
    for own, other in zip(alone, together, strict=True):
        assert [one.ids for one in own] == [one.ids for one in other]
        for one, same in zip(own, other, strict=True):
            assert same.score == pytest.approx(one.score, abs=1e-5)
            assert same.log_probs == pytest.approx(one.log_probs, abs=1e-5)


CHANCES = [0.1, 0.0, 0.6, 0.3, 0.0]
# Of 4096 draws; a chi-square of two degrees of freedom is above it once in a thousand.
LIMIT = 13.8


def shares_drawn(chances: list[float], **changes: float) -> Counter[int]:
    """Count what is drawn first, 4096 times."""
    table = Table({(-1,): chances}, size=len(chances))
    settings = SETTINGS.changed(num_results=256, max_new_tokens=1, **{"temperature": 1.0} | changes)
    found = search(table, list(range(16)), settings, sequences=16)
    return Counter(one.ids[0] for own in found for one in own)


def chi_square(counts: Counter[int], shares: dict[int, float]) -> float:
    """Tell how far counts are from the shares they should have; nothing else may occur."""
    assert set(counts) == set(shares)
    assert sum(shares.values()) == pytest.approx(1.0)
    total = sum(counts.values())
    return sum((counts[i] - total * p) ** 2 / (total * p) for i, p in shares.items())


@pytest.mark.parametrize(
    ("changes", "shares"),
    [
        ({}, {0: 0.1, 2: 0.6, 3: 0.3}),
        # Squares of the chances, and their roots.
        ({"temperature": 0.5}, {0: 0.01 / 0.46, 2: 0.36 / 0.46, 3: 0.09 / 0.46}),
        ({"temperature": 2.0}, {0: 0.193, 2: 0.4727, 3: 0.3343}),
        ({"top_k": 2}, {2: 2 / 3, 3: 1 / 3}),
        ({"top_k": 5}, {0: 0.1, 2: 0.6, 3: 0.3}),
        # 0.6 alone does not reach it: the token that crosses the threshold is among those drawn.
        ({"top_p": 0.7}, {2: 2 / 3, 3: 1 / 3}),
        ({"top_p": 0.55}, {2: 1.0}),
        ({"top_p": 0.95}, {0: 0.1, 2: 0.6, 3: 0.3}),
        # The threshold is one of the chances that the temperature leaves: 0.4727 is below it.
        ({"temperature": 2.0, "top_p": 0.55}, {2: 0.4727 / 0.807, 3: 0.3343 / 0.807}),
        # And of those that top_k leaves: 0.6 of 0.9 reaches it.
        ({"top_k": 2, "top_p": 0.65}, {2: 1.0}),
        ({"temperature": 2.0, "top_k": 2}, {2: 0.4727 / 0.807, 3: 0.3343 / 0.807}),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_tokens_are_drawn_as_often_as_their_chances_say(
    changes: dict[str, float], shares: dict[int, float], seed: int
) -> None:
    assert chi_square(shares_drawn(CHANCES, seed=seed, **changes), shares) < LIMIT


def test_what_is_drawn_has_the_models_own_probability() -> None:
    table = Table({(-1,): CHANCES})
    settings = SETTINGS.changed(temperature=0.5, top_k=2, num_results=20, max_new_tokens=1)
    for one in written(table, settings):
        assert one.log_probs == pytest.approx([math.log(CHANCES[one.ids[0]])], abs=1e-6)


def test_hypotheses_that_are_drawn_end_each_at_its_own_length() -> None:
    table = Table({(-1,): [0.5, 0.0, 0.5, 0.0, 0.0], (-1, 2): [0.2, 0.0, 0.0, 0.0, 0.8]})
    settings = SETTINGS.changed(end_ids=(END, 4), temperature=1.0, num_results=40)
    found = written(table, settings)
    chances = {(END,): (0.5,), (2, END): (0.5, 0.2), (2, 4): (0.5, 0.8)}
    assert {one.ids for one in found} == set(chances)
    for one in found:
        expected = [math.log(chance) for chance in chances[one.ids]]
        assert one.log_probs == pytest.approx(expected, abs=1e-6)
        assert one.score == pytest.approx(sum(expected) / len(expected), abs=1e-6)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_a_seed_draws_the_same_whoever_stands_beside_and_leaves() -> None:
    # What is written about 5 ends at once, and about 9 never before the sixth token.
    rows = {(5, 1): [1.0, 0.0, 0.0, 0.0, 0.0]}
    settings = SETTINGS.changed(temperature=1.0, num_results=3, suppressed_ids=(), seed=3)
    with_early = search(Table(rows), [5, 7, 5, 8], settings, sequences=4)
    with_late = search(Table(rows), [9, 7, 9, 8], settings, sequences=4)
    assert with_early[1] == with_late[1]
    assert with_early[3] == with_late[3]
    assert with_early[1] != with_early[3]
    other = search(Table(rows), [9, 7, 9, 8], settings.changed(seed=4), sequences=4)
    assert other[1] != with_late[1]
