"""Each rule over scores that are small enough to see what it changed, and when."""

import math
from typing import Any

import pytest
import torch
from unit.generation.test_search import END, START, Table

from zhixing.generation.rules import Rules
from zhixing.generation.search import search
from zhixing.generation.settings import SearchSettings

SETTINGS = SearchSettings(start_id=START, end_ids=(END,), max_new_tokens=6)
NEVER = -math.inf


def rules_of(settings: SearchSettings, prefixes: list[tuple[int, ...]]) -> Rules:
    """Make the rules of sequences that begin with the start token alone."""
    return Rules(settings, [(settings.start_id,)] * len(prefixes), prefixes)


def applied(
    written: list[int],
    scores: list[float] | None = None,
    prefix: tuple[int, ...] = (),
    **changes: Any,
) -> list[float]:
    """Apply rules to the scores of the token after some, of one hypothesis."""
    rules = rules_of(SETTINGS.changed(**changes), [prefix])
    given = torch.tensor([[scores or [0.5] * 5]])
    return rules.apply(given, torch.tensor([[written]], dtype=torch.int64), 0).flatten().tolist()


def forbidden(written: list[int], **changes: Any) -> set[int]:
    """Tell which of five tokens may not come after some; the others keep their scores."""
    found = applied(written, **changes)
    assert set(found) <= {NEVER, 0.5}
    return {token for token, score in enumerate(found) if score == NEVER}


@pytest.mark.parametrize(
    ("size", "written", "expected"),
    [
        # What the decoder read first, the start, is one of the tokens in a row.
        (1, [], {START}),
        (1, [2, 3], {START, 2, 3}),
        (2, [], set()),
        (2, [2], set()),
        (2, [2, 2], {2}),
        (2, [2, 3], set()),
        (2, [2, 3, 2], {3}),
        (2, [2, 3, 2, 4, 2], {3, 4}),
        (2, [3, START], {3}),
        (3, [2], set()),
        (3, [2, 2], set()),
        (3, [2, 2, 2], {2}),
        (3, [2, 3, 2], set()),
        (3, [2, 3, 4, 2], set()),
        (3, [2, 3, 4, 2, 3], {4}),
        (3, [2, 3, 4, 4, 3], set()),
    ],
)
def test_no_so_many_tokens_in_a_row_occur_twice(
    size: int, written: list[int], expected: set[int]
) -> None:
    assert forbidden(written, no_repeat_ngram_size=size, max_new_tokens=9) == expected


def test_every_hypothesis_has_its_own_repetitions() -> None:
    rules = rules_of(SETTINGS.changed(no_repeat_ngram_size=2), [(), ()])
    written = torch.tensor([[[2, 3, 2], [3, 4, 3]], [[2, 2, 2], [2, 3, 4]]])
    found = rules.apply(torch.zeros(2, 2, 5), written, 0)
    banned = [(own == NEVER).nonzero().flatten().tolist() for own in found.flatten(0, 1)]
    assert banned == [[3], [4], [2], []]


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, (2, 3, END)), (2, (2, 2, 3, 2, END)), (3, (2, 2, 2, 3, 2, 2, END))],
)
def test_a_writer_that_repeats_itself_is_made_to_end(
    size: int, expected: tuple[int, ...], beams: int
) -> None:
    class Stubborn(Table):
        """Says 2 before all else, then 3, and ends when it must."""

        def next_logits(self, states: torch.Tensor) -> torch.Tensor:
            return torch.tensor([-80.0, -160.0, 0.0, -1.0, -160.0]).repeat(len(states), 1)

    settings = SETTINGS.changed(
        no_repeat_ngram_size=size, max_new_tokens=9, num_beams=beams, length_penalty=0.0
    )
    (found,) = search(Stubborn({}), [7], settings, sequences=1)
    if beams == 1:
        assert found[0].ids == expected
    rows = [(START, *found[0].ids)[i : i + size] for i in range(len(found[0].ids) + 2 - size)]
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize(("written", "is_early"), [([], True), ([2], True), ([2, 2], False)])
def test_nothing_ends_before_so_many_tokens(written: list[int], is_early: bool) -> None:
    found = forbidden(written, min_new_tokens=2, end_ids=(END, 4))
    assert found == ({END, 4} if is_early else set())


@pytest.mark.parametrize(("written", "expected"), [([], 3), ([2], None), ([2, 2], None)])
def test_the_first_token_is_forced_and_no_other(written: list[int], expected: int | None) -> None:
    found = applied(written, forced_first_id=3)
    assert found == ([0.5] * 5 if expected is None else [NEVER, NEVER, NEVER, 0.0, NEVER])


@pytest.mark.parametrize(("length", "is_last"), [(0, False), (4, False), (5, True)])
def test_the_token_at_the_greatest_length_is_forced(length: int, is_last: bool) -> None:
    found = applied([2] * length, forced_last_id=END)
    assert found == ([0.0, NEVER, NEVER, NEVER, NEVER] if is_last else [0.5] * 5)


def test_what_has_to_be_stands_above_what_must_not_be() -> None:
    changes: dict[str, Any] = {"suppressed_ids": (3, END), "min_new_tokens": 6}
    assert applied([], forced_first_id=3, **changes)[3] == 0.0
    assert applied([2] * 5, forced_last_id=END, **changes)[END] == 0.0
    assert applied([], prefix=(4,), forced_first_id=3)[3:] == [NEVER, 0.0]


def test_a_prefix_is_written_token_by_token_and_then_left() -> None:
    only = [[NEVER] * token + [0.0] + [NEVER] * (4 - token) for token in range(5)]
    assert applied([], prefix=(3, 2)) == only[3]
    assert applied([3], prefix=(3, 2)) == only[2]
    assert applied([3, 2], prefix=(3, 2)) == [0.5] * 5


def test_each_sequence_has_its_prefix_also_when_scores_come_in_parts() -> None:
    rules = rules_of(SETTINGS, [(2,), (), (4,)])
    nothing = torch.empty(2, 1, 0, dtype=torch.int64)
    found = rules.apply(torch.zeros(2, 1, 5), nothing, 1)
    assert found[0, 0].tolist() == [0.0] * 5
    assert found[1, 0].tolist() == [NEVER, NEVER, NEVER, NEVER, 0.0]
    rules.keep([2, 0])
    again = rules.apply(torch.zeros(2, 1, 5), nothing, 0)
    assert again.argmax(-1).flatten().tolist() == [4, 2]
    assert rules.forced(0).tolist() == [True, True]


def test_it_is_known_which_tokens_are_no_choice_of_the_models() -> None:
    rules = rules_of(SETTINGS, [(2, 3), (), (4,)])
    assert [rules.forced(i).tolist() for i in range(3)] == [
        [True, False, True],
        [True, False, False],
        [False, False, False],
    ]
    both = rules_of(SETTINGS.changed(forced_first_id=2, forced_last_id=END), [(), ()])
    assert [bool(both.forced(i).all()) for i in range(6)] == [True, *[False] * 4, True]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [True, True, True]),
        ({"suppressed_ids": (3,), "no_repeat_ngram_size": 2, "min_new_tokens": 2}, [True] * 3),
        ({"forced_first_id": 2}, [False, True, True]),
        ({"forced_last_id": END, "max_new_tokens": 2}, [True, False, True]),
        ({"repetition_penalty": 1.5}, [False] * 3),
        ({"repetition_penalty": 0.5}, [False] * 3),
    ],
)
def test_only_a_penalty_or_a_forced_token_does_more_than_forbid(
    changes: dict[str, Any], expected: list[bool]
) -> None:
    rules = rules_of(SETTINGS.changed(**changes), [()])
    assert [rules.only_forbid(i) for i in range(3)] == expected


def test_a_repeated_token_loses_once_however_often_it_was_written() -> None:
    scores = [1.0, 3.0, 4.0, -4.0, -1.0]
    # The start was read, 2 written twice and 3 once: what is positive is halved, the rest doubled.
    assert applied([2, 3, 2], scores, repetition_penalty=2.0) == [1.0, 1.5, 2.0, -8.0, -1.0]
    assert applied([2, 3, 2], scores, repetition_penalty=0.5) == [1.0, 6.0, 8.0, -2.0, -1.0]
    assert applied([2, 3, 2], scores, repetition_penalty=1.0) == scores


@pytest.mark.parametrize("beams", [1, 2])
def test_a_penalty_lets_another_token_win(beams: int) -> None:
    rows = [0.3, 0.0, 0.4, 0.3 - 1e-6, 0.0]
    table = Table({(-1,): rows, (-1, 2): rows, (-1, 2, 3): rows})
    settings = SETTINGS.changed(
        max_new_tokens=2, num_beams=beams, suppressed_ids=(END,), length_penalty=0.0
    )
    (plain,) = search(table, [7], settings, sequences=1)
    (found,) = search(table, [7], settings.changed(repetition_penalty=1.5), sequences=1)
    assert plain[0].ids == (2, 2)
    assert found[0].ids == (2, 3)


@pytest.mark.parametrize("changes", [{}, {"num_beams": 3}, {"temperature": 1.0, "num_results": 40}])
def test_a_suppressed_token_is_never_written(changes: dict[str, Any]) -> None:
    assert forbidden([2], suppressed_ids=(2, 4)) == {2, 4}
    settings = SETTINGS.changed(suppressed_ids=(2, 4), **changes)
    (found,) = search(Table({(-1,): [0.1, 0.1, 0.5, 0.2, 0.1]}), [7], settings, sequences=1)
    assert not {2, 4} & {token for one in found for token in one.ids}


@pytest.mark.parametrize("beams", [1, 2])
def test_what_is_forced_costs_nothing(beams: int) -> None:
    sure = [0.0, 0.0, 0.0, 1.0, 0.0]
    table = Table({(-1,): [0.1, 0.0, 0.6, 0.0, 0.3], (-1, 4): [0.1, 0, 0.4, 0.5, 0], (-1, 2): sure})
    settings = SETTINGS.changed(
        num_beams=beams, max_new_tokens=3, forced_first_id=4, forced_last_id=END, length_penalty=0.0
    )
    (found,) = search(table, [7], settings, sequences=1)
    assert found[0].ids == (4, 3, END)
    assert found[0].log_probs == pytest.approx((0.0, math.log(0.5), 0.0), abs=1e-6)
    assert found[0].score == pytest.approx(math.log(0.5), abs=1e-6)
