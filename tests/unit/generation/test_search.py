"""A search over a model whose probabilities can be worked out by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from zhixing.errors import DataError
from zhixing.generation import search as searching
from zhixing.generation.search import gaps_filled, search
from zhixing.generation.settings import EarlyStopping, SearchSettings
from zhixing.layers.ragged import Ragged

END, START = 0, 1
SETTINGS = SearchSettings(start_id=START, end_ids=(END,), max_new_tokens=6)


@dataclass
class TextsRead:
    """What every hypothesis has read, by sequence."""

    texts: list[list[list[int]]]
    left: list[int] = field(default_factory=list)

    def descend(self, parents: Tensor) -> None:
        self.texts = [
            [list(texts[i]) for i in chosen]
            for texts, chosen in zip(self.texts, parents.tolist(), strict=True)
        ]

    @property
    def flat(self) -> list[list[int]]:
        return [text for texts in self.texts for text in texts]

    def keep(self, order: Sequence[int]) -> None:
        self.left.append(len(order))
        self.texts = [self.texts[i] for i in order]


class Table:
    """Say what comes next by a table from what was read; what it does not know is even."""

    def __init__(self, rows: dict[tuple[int, ...], list[float]], size: int = 5) -> None:
        self.rows = rows
        self.size = size
        self.state = TextsRead([])
        self.read: list[int] = []

    def start(self, inputs: list[int], prompts: Ragged) -> tuple[Tensor, TextsRead]:
        read = zip(inputs, prompts.split(), strict=True)
        self.state = TextsRead([[[number, *prompt.tolist()]] for number, prompt in read])
        return self.after(self.state), self.state

    def step(self, ids: Tensor, state: TextsRead) -> tuple[Tensor, TextsRead]:
        for text, token in zip(state.flat, ids.tolist(), strict=True):
            text.append(token)
        return self.after(state), state

    def after(self, state: TextsRead) -> Tensor:
        return torch.stack([self.next_of(tuple(text)) for text in state.flat])

    def next_of(self, text: tuple[int, ...]) -> Tensor:
        even = [1.0 / self.size] * self.size
        return torch.tensor(self.rows.get(text, self.rows.get((-1, *text[2:]), even)))

    def next_logits(self, states: Tensor) -> Tensor:
        self.read.append(len(states))
        return states.log()

    @property
    def num_tokens(self) -> int:
        return self.size


# After 2 the likeliest path is 0.5 * 0.4; after 3 it is 0.4 * 0.9, which greedy never sees.
GARDEN = Table(
    {
        (-1,): [0.05, 0.05, 0.5, 0.4, 0.0],
        (-1, 2): [0.4, 0.0, 0.3, 0.3, 0.0],
        (-1, 3): [0.9, 0.0, 0.1, 0.0, 0.0],
    }
)


def test_greedy_takes_the_likeliest_token_every_time() -> None:
    (found,) = search(GARDEN, [7], SETTINGS, sequences=1)
    assert [one.ids for one in found] == [(2, END)]
    assert found[0].has_ended
    assert found[0].log_probs == pytest.approx((math.log(0.5), math.log(0.4)))
    assert found[0].score == pytest.approx(math.log(0.2) / 2)


def test_a_beam_finds_what_greedy_misses() -> None:
    settings = SETTINGS.changed(num_beams=2, num_results=2, length_penalty=0.0)
    (found,) = search(GARDEN, [7], settings, sequences=1)
    assert [one.ids for one in found] == [(3, END), (2, END)]
    assert [one.score for one in found] == pytest.approx([math.log(0.36), math.log(0.2)])


@pytest.mark.parametrize("changes", [{}, {"num_beams": 3}, {"temperature": 1.0, "num_results": 2}])
def test_scores_read_in_parts_choose_the_same(
    changes: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.changed(no_repeat_ngram_size=2, **changes)
    prefixes: list[list[int]] = [[], [3], [2, 4], [], [4]]
    whole = search(GARDEN, [7] * 5, settings, sequences=5, prefixes=prefixes)
    monkeypatch.setattr(searching, "MAX_SCORES_AT_ONCE", 2 * settings.width * GARDEN.size)
    GARDEN.read.clear()
    assert search(GARDEN, [7] * 5, settings, sequences=5, prefixes=prefixes) == whole
    assert max(GARDEN.read) <= 2 * settings.width


def test_sequences_that_are_done_leave_at_once() -> None:
    rows = {
        (5, START): [1.0, 0, 0, 0, 0],
        (6, START): [0, 0, 1.0, 0, 0],
        (6, START, 2): [1.0, 0, 0, 0, 0],
        (8, START): [0, 0, 0, 1.0, 0],
        (8, START, 3): [0, 0, 0, 0, 1.0],
        (8, START, 3, 4): [1.0, 0, 0, 0, 0],
    }
    table = Table(rows)
    found = search(table, [5, 8, 6], SETTINGS, sequences=3)
    assert [own[0].ids for own in found] == [(END,), (3, 4, END), (2, END)]
    assert table.state.left == [2, 1]


def test_a_result_that_is_cut_says_so() -> None:
    table = Table({}, size=3)
    (found,) = search(table, [7], SETTINGS.changed(suppressed_ids=(END,)), sequences=1)
    assert len(found[0].ids) == SETTINGS.max_new_tokens
    assert not found[0].has_ended


def test_a_prefix_is_written_first_and_costs_nothing() -> None:
    for beams in (1, 2):
        settings = SETTINGS.changed(num_beams=beams, length_penalty=0.0)
        found = search(GARDEN, [7, 7], settings, sequences=2, prefixes=[[3], []])
        assert found[0][0].ids == (3, END)
        assert found[0][0].log_probs == pytest.approx((0.0, math.log(0.9)))
        assert found[1][0].ids == ((2, END) if beams == 1 else (3, END))


def test_prompts_of_any_length_are_read_first_and_stand_in_no_result() -> None:
    rows = {
        (7, 4): [0, 0, 1.0, 0, 0],
        (7, 4, 2): [1.0, 0, 0, 0, 0],
        (8, 4, 4, 3): [0, 0, 0, 1.0, 0],
        (8, 4, 4, 3, 3): [1.0, 0, 0, 0, 0],
    }
    for beams in (1, 2):
        settings = SETTINGS.changed(num_beams=beams)
        results = search(Table(rows), [7, 8], settings, sequences=2, prompts=[[4], [4, 4, 3]])
        assert [hypotheses[0].ids for hypotheses in results] == [(2, END), (3, END)]


def test_a_prefix_follows_the_prompt() -> None:
    rows = {(7, 4, 4, 2): [1.0, 0, 0, 0, 0]}
    (found,) = search(Table(rows), [7], SETTINGS, sequences=1, prompts=[[4, 4]], prefixes=[[2]])
    assert found[0].ids == (2, END)


def test_prompts_have_to_be_one_a_sequence_and_hold_something() -> None:
    with pytest.raises(DataError, match="there are 2 sequences but 1 prompts; give each one"):
        search(GARDEN, [7, 7], SETTINGS, sequences=2, prompts=[[3]])
    with pytest.raises(DataError, match="a prompt is empty; it holds the start token at least"):
        search(GARDEN, [7, 7], SETTINGS, sequences=2, prompts=[[3], []])


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize(
    ("prompt", "size", "expected"),
    [
        ([2, 3, 2], 0, 3),
        # Both tokens have come before; then 2 3; of the triple 3 2 3 nothing has.
        ([2, 3, 2], 1, 4),
        ([2, 3, 2], 2, 2),
        ([2, 3, 2], 3, 3),
        ([3, 2, 3, 4, 3, 2], 3, 2),
        ([3, 2, 3, 4, 3, 2], 4, 3),
    ],
)
def test_no_ngram_of_a_prompt_and_its_continuation_occurs_twice(
    prompt: list[int], size: int, expected: int, beams: int
) -> None:
    table = Table({(7, *prompt): [0.0, 0.0, 0.3, 0.5, 0.2]})
    settings = SETTINGS.changed(max_new_tokens=1, no_repeat_ngram_size=size, num_beams=beams)
    (found,) = search(table, [7], settings, sequences=1, prompts=[prompt])
    assert found[0].ids == (expected,)


def test_a_sequence_that_changes_its_place_takes_its_prompt_with_it() -> None:
    table = Table(
        {
            (5, 4): [1.0, 0, 0, 0, 0],
            (6, 3): [0, 0, 0, 0, 1.0],
            (6, 3, 4): [0, 0, 0.4, 0.6, 0],
            (6, 3, 4, 2): [1.0, 0, 0, 0, 0],
            (8, 2): [0, 0, 0, 1.0, 0],
            (8, 2, 3): [0, 0, 0.6, 0, 0.4],
            (8, 2, 3, 4): [1.0, 0, 0, 0, 0],
        }
    )
    settings = SETTINGS.changed(no_repeat_ngram_size=1)
    results = search(table, [5, 6, 8], settings, sequences=3, prompts=[[4], [3], [2]])
    assert table.state.left == [2]
    assert [hypotheses[0].ids for hypotheses in results] == [(END,), (4, 2, END), (3, 4, END)]


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize(("chance", "expected"), [(0.4, 2), (0.34, 3)])
def test_what_a_prompt_holds_is_penalized_once(chance: float, expected: int, beams: int) -> None:
    # log 0.5 * 1.5 lies between log 0.4 and log 0.34; penalized twice, 3 would always lose.
    row = [0.0, 0.0, chance, 0.5, 0.5 - chance]
    table = Table({(7, 3, 3): row, (8, 2, 4, 4, 4): row})
    settings = SETTINGS.changed(max_new_tokens=1, repetition_penalty=1.5, num_beams=beams)
    prompts = [[3, 3], [2, 4, 4, 4]]
    found, neighbour = search(table, [7, 8], settings, sequences=2, prompts=prompts)
    assert found[0].ids == (expected,)
    assert neighbour[0].ids == (3,)


@pytest.mark.parametrize("penalty", [-1.0, 0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("beams", [1, 2])
def test_a_score_is_the_sum_by_the_length_to_the_penaltys_power(beams: int, penalty: float) -> None:
    settings = SETTINGS.changed(num_beams=beams, num_results=beams, length_penalty=penalty)
    (found,) = search(GARDEN, [7], settings, sequences=1)
    for hypothesis in found:
        expected = sum(hypothesis.log_probs) / len(hypothesis.ids) ** penalty
        assert hypothesis.score == pytest.approx(expected)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


# The first to end is END alone (0.4, score -0.92), the second 2 END; 2 4 END would be a third.
SHORT, LONGER, LONGEST = (END,), (2, END), (2, 4, END)


@pytest.mark.parametrize(
    ("chance", "early_stopping", "steps", "expected"),
    [
        # 2 END has 0.3 (-0.60), and 2 4 has 0.2: were it to end now, -0.80, more than -0.92.
        (0.4, "yes", 2, [LONGER, SHORT]),
        (0.4, "no", 3, [LONGEST, LONGER]),
        (0.4, "never", 3, [LONGEST, LONGER]),
        # 2 END has 0.4 (-0.46), and 2 4 has 0.1: now -1.15, less than -0.92; at six tokens -0.38.
        (0.2, "yes", 2, [LONGER, SHORT]),
        (0.2, "no", 2, [LONGER, SHORT]),
        (0.2, "never", 3, [LONGER, LONGEST]),
    ],
)
def test_a_beam_stops_when_it_has_enough(
    chance: float, early_stopping: EarlyStopping, steps: int, expected: list[tuple[int, ...]]
) -> None:
    table = Table(
        {
            (-1,): [0.4, 0.0, 0.5, 0.1, 0.0],
            (-1, 2): [1.0 - chance, 0.0, 0.0, 0.0, chance],
            (-1, 3): [0.0, 0.3, 0.4, 0.3, 0.0],
            (-1, 2, 4): [1.0, 0.0, 0.0, 0.0, 0.0],
        }
    )
    settings = SETTINGS.changed(num_beams=2, num_results=2, early_stopping=early_stopping)
    (found,) = search(table, [7], settings, sequences=1)
    assert [hypothesis.ids for hypothesis in found] == expected
    assert len(table.read) == steps


def test_prefixes_have_to_be_one_a_sequence() -> None:
    with pytest.raises(DataError, match="there are 2 sequences but 1 prefixes"):
        search(GARDEN, [7, 7], SETTINGS, sequences=2, prefixes=[[3]])


def test_no_result_is_shorter_than_asked_for() -> None:
    for beams in (1, 3):
        settings = SETTINGS.changed(min_new_tokens=3, num_beams=beams)
        (found,) = search(GARDEN, [7], settings, sequences=1)
        assert len(found[0].ids) >= 4


def test_drawing_follows_the_distribution_and_the_seed() -> None:
    table = Table({(-1,): [0.1, 0.0, 0.6, 0.3, 0.0], (-1, 2): [1.0, 0, 0, 0, 0]})
    settings = SETTINGS.changed(temperature=1.0, num_results=100, max_new_tokens=1)
    drawn = [
        [one.ids[0] for one in search(table, [7], settings.changed(seed=seed), sequences=1)[0]]
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 1 not in drawn[0]
    assert 45 <= drawn[0].count(2) <= 75


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [({"top_k": 1}, {2}), ({"top_p": 0.5}, {2}), ({"top_p": 0.85}, {2, 3}), ({"top_k": 2}, {2, 3})],
)
def test_drawing_can_be_held_to_the_likeliest(changes: dict[str, float], allowed: set[int]) -> None:
    table = Table({(-1,): [0.1, 0.0, 0.6, 0.3, 0.0]})
    settings = SETTINGS.changed(temperature=1.0, num_results=60, max_new_tokens=1, **changes)
    (found,) = search(table, [7], settings, sequences=1)
    assert {one.ids[0] for one in found} == allowed


def test_a_neighbour_changes_no_draw() -> None:
    table = Table({})
    settings = SETTINGS.changed(temperature=1.0, num_results=2)
    alone = search(table, [7], settings, sequences=1)[0]
    assert search(table, [7, 9], settings, sequences=2)[0] == alone


@pytest.mark.parametrize(
    ("done", "order"),
    [
        ([False, False], [0, 1]),
        ([True, False, False, False], [3, 1, 2]),
        ([True, False, True, False, False], [4, 1, 3]),
        ([True, True], []),
        ([False, True], [0]),
    ],
)
def test_the_last_ones_fill_the_gaps(done: list[bool], order: list[int]) -> None:
    assert gaps_filled(done) == order
