import random

import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tables import make_table

from zhixing.evaluation.bag_of_words import compare, fit_bag_of_words


def messages(rows: int, seed: int) -> tuple[list[str], list[int]]:
    draw = random.Random(seed)
    topics = ["refund money back card", "parcel late post lost", "login password account code"]
    texts, labels = [], []
    for i in range(rows):
        words = draw.choices(["please", "my", "the", "is", "help", "today", "and"], k=6)
        words += draw.choices(topics[i % 3].split(), k=2)
        words += draw.choices(topics[draw.randrange(3)].split(), k=1)
        draw.shuffle(words)
        texts.append(" ".join(words))
        labels.append(i % 3)
    return texts, labels


def test_it_is_as_right_as_a_library_s_logistic_regression() -> None:
    texts, labels = messages(300, 0)
    held, targets = messages(200, 1)
    bag = fit_bag_of_words(texts, torch.tensor(labels), 3)
    ours = float((bag.predict(held) == torch.tensor(targets)).double().mean())
    counting = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    fitted = LogisticRegression(C=10.0, max_iter=500).fit(counting.fit_transform(texts), labels)
    theirs = fitted.score(counting.transform(held), targets)
    assert ours == pytest.approx(theirs, abs=0.03)
    assert ours > 0.8


def test_texts_without_spaces_are_counted_by_characters() -> None:
    texts = ["这家酒店很好", "房间干净很好", "服务太差了", "早餐太差了"] * 5
    bag = fit_bag_of_words(texts, torch.tensor([1, 1, 0, 0] * 5), 2)
    assert bag.unit == "characters" and all(len(name) == 1 for name in bag.features)
    assert bag.predict(["很好", "太差"]).tolist() == [1, 0]


def test_character_pairs_are_counted_where_they_are_asked_for() -> None:
    texts = ["这家酒店很好", "房间干净很好", "服务太差了", "早餐太差了"] * 5
    labels = torch.tensor([1, 1, 0, 0] * 5)
    bag = fit_bag_of_words(texts, labels, 2, unit="character pairs")
    assert {"很", "很好", "太差"} <= set(bag.features)
    assert bag.predict(["很好", "太差"]).tolist() == [1, 0]


def test_features_are_words_and_neighbours_that_occur_twice() -> None:
    bag = fit_bag_of_words(["Good film", "good film", "bad day"], torch.tensor([1, 1, 0]), 2)
    assert sorted(bag.features) == ["film", "good", "good film"]
    assert bag.unit == "words"


def test_a_text_of_unknown_words_gets_the_class_of_the_bias() -> None:
    texts = ["a b", "a b", "a b", "c d"] * 4
    bag = fit_bag_of_words(texts, torch.tensor([1, 1, 1, 0] * 4), 2)
    assert bag.predict(["zzz", ""]).tolist() == [int(bag.bias.argmax())] * 2


def test_nothing_in_common_is_fitted_all_the_same() -> None:
    bag = fit_bag_of_words(["one", "two"], torch.tensor([0, 1]), 2)
    assert bag.features == {} and bag.predict(["one"]).shape == (1,)


def test_the_gain_is_the_difference_of_the_accuracies() -> None:
    training = table_of(["up up", "down down"] * 6, ["x", "y"] * 6)
    test = table_of(["up", "down", "up", "down"], ["x", "y", "y", "y"])
    found = compare(training, test, ["x", "y"], torch.tensor([0, 1, 1, 1]))
    assert found is not None
    assert found.accuracy == 0.75 and found.unit == "words"
    assert found.gain.difference == pytest.approx(0.25)


def table_of(texts, labels, **more):
    return make_table(texts, labels, **more)


def test_a_comparison_fits_on_one_table_and_counts_on_the_other():
    training = table_of(
        ["good film", "good day", "bad film", "bad day"] * 5, ["x", "x", "y", "y"] * 5
    )
    test = table_of(["good good", "bad bad", "good one", "bad one"], ["x", "y", "x", "y"])
    found = compare(training, test, ["x", "y"], torch.tensor([0, 0, 0, 0]))
    assert found.accuracy == 1.0
    assert found.gain.difference == -0.5


def test_pairs_several_labels_and_large_tables_are_not_compared():
    rows = table_of(["a", "b"], ["x", "y"])
    answers = torch.tensor([0, 1])
    several = table_of(["a", "b"], [("x",), ("x", "y")], multi=True)
    pairs = make_table(["a", "b"], ["x", "y"], pairs=["c", "d"])
    large = table_of(["a"] * 20_001, ["x"] * 20_001)
    for training in (several, pairs, large):
        assert compare(training, rows, ["x", "y"], answers) is None
