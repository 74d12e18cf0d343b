"""Groups of beams against the paper's algorithm, written out for one sequence."""

import math

import pytest
import torch
from unit.generation.test_search import END, GARDEN, SETTINGS, Table

from zhixing.errors import ConfigError
from zhixing.generation.search import search

Path = tuple[tuple[int, ...], float]


def drawn_table(seed: int, size: int = 7) -> Table:
    """A writer whose next token depends on the last two it read, at random."""
    generator = torch.Generator().manual_seed(seed)

    class Random(Table):
        def __init__(self) -> None:
            super().__init__({}, size=size)
            self.known: dict[tuple[int, ...], list[float]] = {}

        def next_of(self, text: tuple[int, ...]) -> torch.Tensor:
            key = text[-2:]
            if key not in self.known:
                drawn = torch.randn(size, generator=generator)
                self.known[key] = drawn.softmax(0).tolist()
            return torch.tensor(self.known[key])

    return Random()


def by_the_paper(
    table: Table, start: int, groups: int, width: int, penalty: float, steps: int
) -> list[list[Path]]:
    """Algorithm 1, without ends: the hypotheses of every group after some steps."""
    alive: list[list[Path]] = [[((start, 1), 0.0)] for _ in range(groups)]
    for _ in range(steps):
        taken: list[int] = []
        for number, group in enumerate(alive):
            options = []
            for ids, score in group:
                chances = table.next_of(ids[-2:]).log().tolist()
                for token, chance in enumerate(chances):
                    if token == END:
                        continue
                    total = score + chance
                    options.append((total - penalty * taken.count(token), total, (*ids, token)))
            options.sort(key=lambda one: -one[0])
            alive[number] = [(ids, total) for _, total, ids in options[:width]]
            taken += [ids[-1] for ids, _ in alive[number]]
    return alive


@pytest.mark.parametrize("penalty", [0.0, 0.3, 5.0])
@pytest.mark.parametrize(("groups", "width"), [(3, 1), (2, 2), (2, 3)])
def test_groups_are_those_of_the_paper(groups: int, width: int, penalty: float) -> None:
    for seed in range(4):
        table = drawn_table(seed)
        settings = SETTINGS.changed(
            num_beams=groups * width,
            num_results=groups * width,
            num_groups=groups,
            diversity_penalty=penalty,
            length_penalty=0.0,
            suppressed_ids=(END,),
            max_new_tokens=5,
        )
        (found,) = search(table, [9], settings, sequences=1)
        expected = by_the_paper(table, 9, groups, width, penalty, 5)
        wanted = {ids[2:]: total for group in expected for ids, total in group}
        assert {one.ids for one in found} == set(wanted)
        for one in found:
            assert one.score == pytest.approx(wanted[one.ids], abs=1e-4)


def test_a_neighbour_changes_nothing_and_parts_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SETTINGS.changed(
        num_beams=4, num_results=4, num_groups=2, diversity_penalty=0.5, repetition_penalty=1.3
    )
    alone = search(GARDEN, [7], settings, sequences=1)[0]
    monkeypatch.setattr("zhixing.generation.search.MAX_SCORES_AT_ONCE", 1)
    assert search(GARDEN, [7, 7, 7], settings, sequences=3) == [alone] * 3


def test_a_large_penalty_parts_the_groups_at_the_first_token() -> None:
    settings = SETTINGS.changed(num_beams=2, num_results=2, num_groups=2, length_penalty=0.0)
    (same,) = search(GARDEN, [7], settings, sequences=1)
    (apart,) = search(GARDEN, [7], settings.changed(diversity_penalty=9.0), sequences=1)
    assert [one.ids for one in same] == [(2, END)]
    assert {one.ids[0] for one in apart} == {2, 3}
    assert apart[0].score == pytest.approx(math.log(0.36))


def test_beams_have_to_be_shared_evenly() -> None:
    with pytest.raises(ConfigError, match="num_beams is 4, which num_groups = 3 does not divide"):
        SETTINGS.changed(num_beams=4, num_groups=3)
