import pytest
import torch

from zhixing.generation.ranking import best_scores, log_totals


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
