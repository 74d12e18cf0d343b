import pytest
import torch

from zhixing.generation.ranking import NO_SCORE, best_joined, best_scores, log_totals, penalized


@pytest.mark.parametrize("size", [3, 128, 1000, 5000, 128 * 40])
@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_best_are_those_of_a_sort(size: int, count: int) -> None:
    scores = torch.randn(7, size, generator=torch.Generator().manual_seed(size))
    found, expected = best_scores(scores, count), scores.topk(min(count, size), -1)
    assert torch.equal(found.scores, expected.values)
    assert torch.equal(found.ids, expected.indices)


def test_the_best_may_stand_in_one_block_or_at_the_very_end() -> None:
    scores = torch.zeros(2, 4000)
    scores[0, 130:135] = torch.arange(1.0, 6.0)
    scores[1, 3995:] = torch.arange(1.0, 6.0)
    found = best_scores(scores, 4)
    assert found.ids.tolist() == [[134, 133, 132, 131], [3999, 3998, 3997, 3996]]


def test_what_is_forbidden_is_never_among_the_best() -> None:
    scores = torch.full((1, 4000), -torch.inf)
    scores[0, 17] = 0.0
    assert best_scores(scores, 1).ids.tolist() == [[17]]


@pytest.mark.parametrize("rows", [1, 4, 9])
def test_totals_are_logarithms_of_sums(rows: int) -> None:
    scores = 50.0 * torch.randn(rows, 301, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(log_totals(scores), scores.logsumexp(-1))


@pytest.mark.parametrize("size", [3, 300, 5000])
@pytest.mark.parametrize("width", [1, 4])
def test_the_best_of_several_rows_are_those_of_a_sort_of_all(size: int, width: int) -> None:
    generator = torch.Generator().manual_seed(size)
    scores = torch.randn(3, width, size, generator=generator)
    added = torch.randn(3, width, generator=generator)
    found = best_joined(scores, added, 8)
    totals = (scores + added.unsqueeze(-1)).flatten(1)
    expected = totals.topk(min(8, width * size)).indices
    count = expected.size(1)
    assert torch.equal(found.rows[:, :count] * size + found.ids[:, :count], expected)
    assert torch.equal(found.scores[:, :count], scores.flatten(1).gather(1, expected))
    assert bool((found.scores[:, count:] < NO_SCORE).all())


def test_a_row_that_nobody_follows_is_no_row_of_the_best() -> None:
    scores = torch.tensor([[[3.0, 2.0], [1.0, 0.0]]])
    found = best_joined(scores, torch.tensor([[-torch.inf, 0.0]]), 2)
    assert found.rows.tolist() == [[1, 1]]
    assert found.ids.tolist() == [[0, 1]]


@pytest.mark.parametrize("first", [-1e9, -65504.0, 300.0, -torch.inf])
def test_totals_keep_their_digits_beside_a_huge_first_score(first: float) -> None:
    scores = torch.tensor([[first, 0.0, 1.0], [0.5, 0.0, 1.0]])
    torch.testing.assert_close(log_totals(scores), scores.logsumexp(-1))


@pytest.mark.parametrize(
    ("length_penalty", "expected"), [(0.0, -6.0), (0.5, -3.0), (1.0, -1.5), (2.0, -0.375)]
)
def test_a_length_penalty_is_a_power_of_the_length(length_penalty: float, expected: float) -> None:
    assert penalized(-6.0, 4, length_penalty) == expected
    assert penalized(torch.tensor([-6.0]), 4, length_penalty).tolist() == [expected]
