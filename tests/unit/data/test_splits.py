import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import make_table

from zhixing.data.splits import folds, split_table
from zhixing.data.table import Table
from zhixing.errors import ConfigError, DataError


def table(
    texts: list[str],
    labels: list[str] | list[tuple[str, ...]] | None = None,
    *,
    pairs: list[str] | None = None,
    multi: bool = False,
) -> Table:
    return make_table(texts, labels, pairs=pairs, source="a.csv", multi=multi)


def classes(**sizes: int) -> Table:
    """A table of this many different texts for each label."""
    rows = [(f"{label} {i}", label) for label, size in sizes.items() for i in range(size)]
    return table([text for text, _ in rows], [label for _, label in rows])


def test_every_row_is_on_exactly_one_side_in_its_order() -> None:
    train, validation = split_table(classes(a=50, b=50))
    assert sorted(train.rows + validation.rows) == list(range(1, 101))
    assert train.rows == sorted(train.rows) and validation.rows == sorted(validation.rows)
    assert (len(train), len(validation)) == (90, 10)


def test_the_split_is_frozen() -> None:
    # A resumed run and a later version have to draw the same rows.
    _, validation = split_table(classes(a=10, b=10), validation_fraction=0.2, seed=3)
    assert validation.texts == ["a 0", "a 5", "b 8", "b 9"]


def test_the_same_seed_gives_the_same_split_and_another_does_not() -> None:
    whole = classes(a=100, b=100)
    assert split_table(whole, seed=1) == split_table(whole, seed=1)
    assert split_table(whole, seed=1)[1].texts != split_table(whole, seed=2)[1].texts


def test_the_order_of_rows_does_not_matter() -> None:
    whole = classes(a=40, b=30, c=5)
    order = list(range(len(whole)))
    random.Random(0).shuffle(order)
    shuffled = whole.select(order)
    for one, other in zip(split_table(whole), split_table(shuffled), strict=True):
        assert sorted(one.texts) == sorted(other.texts)


def test_labels_give_their_shares() -> None:
    train, validation = split_table(classes(a=700, b=200, c=100), validation_fraction=0.1)
    assert validation.label_counts() == {"a": 70, "b": 20, "c": 10}
    assert train.label_counts() == {"a": 630, "b": 180, "c": 90}


def test_remainders_go_where_they_are_largest() -> None:
    _, validation = split_table(classes(a=16, b=7, c=7), validation_fraction=0.1)
    # Shares of 1.6, 0.7 and 0.7 make 3 rows.
    assert validation.label_counts() == {"a": 1, "b": 1, "c": 1}


def test_small_classes_keep_a_text_for_training() -> None:
    train, validation = split_table(classes(a=40, b=2, c=1), validation_fraction=0.9)
    assert train.label_counts()["b"] == 1 and train.label_counts()["c"] == 1
    assert set(validation.label_counts()) <= set(train.label_counts())


def test_a_label_of_one_text_is_never_asked_in_validation() -> None:
    for seed in range(20):
        train, validation = split_table(classes(a=2, b=2, c=1), seed=seed)
        assert "c" in train.label_counts() and len(validation) == 1


def test_the_same_text_stays_on_one_side() -> None:
    texts = [f"text {i % 30}" for i in range(90)]
    noisy = [text.upper() if i > 60 else f"  {text} " for i, text in enumerate(texts)]
    train, validation = split_table(table(noisy, ["x"] * 90), validation_fraction=0.3)
    plain = [
        {" ".join(text.lower().split()) for text in side.texts} for side in (train, validation)
    ]
    assert not plain[0] & plain[1]
    assert len(plain[1]) == 9 and len(validation) == 27


def test_the_same_text_with_another_second_text_is_another_row() -> None:
    pairs = table(["same"] * 10, ["x", "y"] * 5, pairs=[str(i) for i in range(10)])
    train, validation = split_table(pairs, validation_fraction=0.2)
    assert (len(train), len(validation)) == (8, 2)


def test_a_text_of_two_labels_is_not_held_back() -> None:
    texts = ["contested", "contested", *(f"t{i}" for i in range(18))]
    whole = table(texts, ["x", "y"] * 10)
    for seed in range(10):
        _, validation = split_table(whole, validation_fraction=0.5, seed=seed)
        assert "contested" not in validation.texts


def test_a_text_that_would_fill_validation_is_not_held_back() -> None:
    texts = ["ok"] * 50 + [f"t{i}" for i in range(50)]
    for seed in range(10):
        _, validation = split_table(table(texts, ["x"] * 100), seed=seed)
        assert "ok" not in validation.texts and len(validation) == 5


def test_texts_of_labels_of_their_own_are_drawn_without_them() -> None:
    targets = [f"phrase {i}" for i in range(95)] + ["oui"] * 5
    train, validation = split_table(table([f"text {i}" for i in range(100)], targets))
    assert (len(train), len(validation)) == (90, 10)
    # The five repeated targets have no more than their chance.
    assert validation.label_counts().get("oui", 0) < 5


def test_tables_without_labels_are_split() -> None:
    train, validation = split_table(table([str(i) for i in range(20)]), validation_fraction=0.25)
    assert (len(train), len(validation)) == (15, 5)


def test_multi_label_tables_are_split_by_their_combinations() -> None:
    labels = [("x", "y"), ("y", "x"), ("x",), ()] * 10
    whole = table([str(i) for i in range(40)], labels, multi=True)
    _, validation = split_table(whole, validation_fraction=0.2)
    kinds = Counter(tuple(sorted(row)) for row in validation.row_labels())
    assert kinds == {("x", "y"): 4, ("x",): 2, (): 2}


def test_two_texts_are_enough() -> None:
    train, validation = split_table(table(["a", "b"], ["x", "y"]))
    assert (len(train), len(validation)) == (1, 1)


def test_texts_that_are_all_repeated_still_leave_one_to_hold_back() -> None:
    train, validation = split_table(table(["a"] * 20 + ["b"] * 20, ["x"] * 40))
    assert {len(train), len(validation)} == {20}


def test_texts_that_are_all_contested_still_leave_one_to_hold_back() -> None:
    train, validation = split_table(table(["a", "a", "b", "b"], ["x", "y"] * 2))
    assert {len(train), len(validation)} == {2}


@pytest.mark.parametrize("texts", [["a"], ["a", "A ", " a"]])
def test_one_text_cannot_be_split(texts: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        split_table(table(texts))
    assert str(caught.value) == (
        "a.csv has 1 different text, which cannot be split 2 ways: add rows, or give validation "
        "data of its own"
    )


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_has_to_be_one(fraction: float) -> None:
    with pytest.raises(ConfigError, match=f"validation_fraction is {fraction}; it must lie"):
        split_table(classes(a=10), validation_fraction=fraction)


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=1),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_any_split_keeps_texts_together_and_leaves_no_side_empty(
    rows: list[tuple[str, str]], fraction: float, seed: int
) -> None:
    whole = table([text for text, _ in rows], [label for _, label in rows])
    if len(set(whole.texts)) < 2:
        return
    train, validation = split_table(whole, validation_fraction=fraction, seed=seed)
    assert sorted(train.rows + validation.rows) == whole.rows
    assert len(train) and len(validation)
    assert not set(train.texts) & set(validation.texts)


def test_every_row_is_held_back_in_exactly_one_fold() -> None:
    whole = classes(a=30, b=20)
    pairs = list(folds(whole, num_folds=5, seed=0))
    assert len(pairs) == 5
    assert sorted(row for _, held_back in pairs for row in held_back.rows) == whole.rows
    for train, held_back in pairs:
        assert sorted(train.rows + held_back.rows) == whole.rows
        assert held_back.label_counts() == {"a": 6, "b": 4}


def test_folds_keep_the_same_text_together() -> None:
    whole = table([f"text {i % 7}" for i in range(70)], ["x"] * 70)
    for train, held_back in folds(whole, num_folds=3, seed=0):
        assert not set(train.texts) & set(held_back.texts)


def test_folds_follow_the_seed_alone() -> None:
    whole = classes(a=30, b=20)
    first = [held_back.rows for _, held_back in folds(whole, num_folds=4, seed=0)]
    assert first == [held_back.rows for _, held_back in folds(whole, num_folds=4, seed=0)]
    assert first != [held_back.rows for _, held_back in folds(whole, num_folds=4, seed=1)]


@pytest.mark.parametrize("num_folds", [2, 3, 7, 10])
def test_no_fold_is_empty(num_folds: int) -> None:
    whole = classes(a=4, b=3, c=3)
    sizes = [len(held_back) for _, held_back in folds(whole, num_folds=num_folds, seed=0)]
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 2


def test_one_fold_is_none() -> None:
    with pytest.raises(ConfigError, match="num_folds is 1; it must be at least 2"):
        folds(classes(a=5), num_folds=1)


def test_more_folds_than_texts_are_refused_at_once() -> None:
    with pytest.raises(
        DataError, match="a.csv has 3 different texts, which cannot be split 4 ways"
    ):
        folds(classes(a=3), num_folds=4)
