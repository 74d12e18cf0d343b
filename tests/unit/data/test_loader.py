from hypothesis import given
from hypothesis import strategies as st

from zhixing.data.loader import by_length, epoch_batches, fill, shuffled

SIZES = [5, 1, 9, 3, 3, 7, 2, 8, 4, 6]
sizes_of_rows = st.lists(st.integers(1, 40), min_size=1, max_size=60)
budgets = st.one_of(
    st.fixed_dictionaries({"rows": st.integers(1, 20)}),
    st.fixed_dictionaries({"tokens": st.integers(1, 80)}),
)


@given(sizes_of_rows, budgets, st.integers(0, 5))
def test_every_row_stands_in_exactly_one_batch(
    sizes: list[int], budget: dict[str, int], epoch: int
) -> None:
    batches = epoch_batches(sizes, **budget, seed=3, epoch=epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(sizes)))
    assert all(batches)


@given(sizes_of_rows, st.integers(1, 80))
def test_no_batch_exceeds_its_budget_unless_it_is_one_row(sizes: list[int], tokens: int) -> None:
    for batch in epoch_batches(sizes, tokens=tokens, seed=0, epoch=0):
        assert len(batch) == 1 or sum(sizes[row] for row in batch) <= tokens


def test_the_same_arguments_give_the_same_batches() -> None:
    one, two = (epoch_batches(SIZES, tokens=12, seed=1, epoch=2) for _ in range(2))
    assert one == two


def test_another_epoch_or_seed_gives_another_order() -> None:
    orders = {
        tuple(shuffled(30, seed=seed, epoch=epoch)) for seed in range(3) for epoch in range(3)
    }
    assert len(orders) == 9


def test_batches_of_rows_have_that_many_rows_but_for_the_last() -> None:
    batches = epoch_batches(SIZES, rows=4, seed=0, epoch=0)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert [row for batch in batches for row in batch] == shuffled(10, seed=0, epoch=0)


def test_rows_of_like_length_come_together() -> None:
    sizes = [1, 20] * 40

    def mixed(batches: list[list[int]]) -> int:
        return sum(len({sizes[row] for row in batch}) > 1 for batch in batches)

    assert mixed(epoch_batches(sizes, tokens=40, seed=0, epoch=0)) <= 1
    assert mixed(list(fill(shuffled(80, seed=0, epoch=0), sizes, 40))) > 10


def test_grouped_batches_do_not_come_in_the_order_of_their_length() -> None:
    sizes = list(range(1, 61))
    batches = epoch_batches(sizes, tokens=60, seed=0, epoch=0)
    longest = [max(sizes[row] for row in batch) for batch in batches]
    assert longest != sorted(longest) and longest != sorted(longest, reverse=True)


def test_filling_keeps_the_order_and_gives_a_long_row_a_batch_of_its_own() -> None:
    assert list(fill([0, 1, 2, 3], [3, 3, 99, 1], 6)) == [[0, 1], [2], [3]]
    assert list(fill([], [], 6)) == []


def test_prediction_begins_with_the_longest_row() -> None:
    batches = by_length(SIZES, 10)
    flat = [SIZES[row] for batch in batches for row in batch]
    assert flat == sorted(SIZES, reverse=True)
    assert batches[0] == [2]
