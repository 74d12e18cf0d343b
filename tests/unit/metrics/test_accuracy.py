import math

import pytest
import torch
from sklearn import metrics as judge
from torch import Tensor

from zhixing.errors import DataError
from zhixing.metrics.accuracy import (
    accuracy,
    balanced_accuracy,
    best_thresholds,
    class_scores,
    confusion_matrix,
    macro_f1,
    matthews,
    micro_f1,
    multilabel_scores,
)

EMPTY = torch.zeros(0, dtype=torch.long)


def random_classes(seed: int, num_classes: int = 5, num_rows: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num_rows,), generator=generator)
    noise = torch.randint(num_classes, (num_rows,), generator=generator)
    is_right = torch.rand(num_rows, generator=generator) < 0.6
    return torch.where(is_right, labels, noise), labels


def random_label_sets(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(40, 4, generator=generator)
    labels = torch.rand(40, 4, generator=generator) < probabilities
    return probabilities, labels


def test_accuracy_counts_equal_pairs() -> None:
    assert accuracy(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 0])) == 0.75


def test_the_matrix_has_the_truth_in_rows() -> None:
    matrix = confusion_matrix(torch.tensor([1, 1, 0]), torch.tensor([0, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_the_matrix_takes_small_integer_types() -> None:
    ids = torch.full((3,), 100, dtype=torch.int8)
    assert int(confusion_matrix(ids, ids, 101)[100, 100]) == 3


@pytest.mark.parametrize("seed", range(5))
def test_every_score_equals_scikit_learn(seed: int) -> None:
    predicted, labels = random_classes(seed)
    matrix = confusion_matrix(predicted, labels, 5)
    assert matrix.tolist() == judge.confusion_matrix(labels, predicted).tolist()
    for ours, average in ((macro_f1, "macro"), (micro_f1, "micro")):
        assert ours(matrix) == pytest.approx(judge.f1_score(labels, predicted, average=average))
    assert accuracy(predicted, labels) == judge.accuracy_score(labels, predicted)
    assert balanced_accuracy(matrix) == pytest.approx(
        judge.balanced_accuracy_score(labels, predicted)
    )
    assert matthews(matrix) == pytest.approx(judge.matthews_corrcoef(labels, predicted))


def test_scores_of_each_class_equal_scikit_learn() -> None:
    predicted, labels = random_classes(7)
    expected = judge.precision_recall_fscore_support(labels, predicted)
    found = class_scores(confusion_matrix(predicted, labels, 5))
    for ours, theirs in zip(found, zip(*expected, strict=True), strict=True):
        assert (ours.precision, ours.recall, ours.f1, ours.support) == pytest.approx(theirs)


def test_micro_f1_is_the_accuracy() -> None:
    predicted, labels = random_classes(3)
    assert micro_f1(confusion_matrix(predicted, labels, 5)) == accuracy(predicted, labels)


def test_a_class_that_is_nowhere_does_not_lower_the_macro_average() -> None:
    predicted, labels = torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0])
    wide = confusion_matrix(predicted, labels, 9)
    assert macro_f1(wide) == pytest.approx(judge.f1_score(labels, predicted, average="macro"))
    assert balanced_accuracy(wide) == pytest.approx(0.75)


def test_a_class_predicted_but_absent_counts_as_zero_in_the_macro_average() -> None:
    matrix = confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 0]), 3)
    assert macro_f1(matrix) == pytest.approx((2 / 3 + 0) / 2)
    assert balanced_accuracy(matrix) == pytest.approx(0.5)


def test_dividing_by_zero_gives_zero() -> None:
    never_predicted = class_scores(torch.tensor([[2, 0], [1, 0]]))[1]
    assert (never_predicted.precision, never_predicted.recall, never_predicted.f1) == (0, 0, 0)
    never_occurs = class_scores(torch.tensor([[2, 1], [0, 0]]))[1]
    assert (never_occurs.recall, never_occurs.support) == (0, 0)


def test_matthews_of_a_constant_prediction_is_zero() -> None:
    assert matthews(torch.tensor([[5, 0], [3, 0]])) == 0.0


def test_matthews_of_large_counts_does_not_overflow() -> None:
    assert matthews(torch.tensor([[10**9, 0], [0, 10**9]])) == pytest.approx(1.0)


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="predicted has 0 rows and labels has 0 rows"):
        accuracy(EMPTY, EMPTY)
    with pytest.raises(DataError, match="predicted has 0 rows"):
        confusion_matrix(EMPTY, EMPTY, 2)


@pytest.mark.usefixtures("unchecked_shapes")
def test_unequal_rows_are_refused() -> None:
    with pytest.raises(DataError, match="predicted has 1 rows and labels has 2 rows"):
        accuracy(torch.tensor([1]), torch.tensor([1, 1]))


def test_an_id_outside_the_classes_is_named() -> None:
    with pytest.raises(DataError, match=r"predicted\[1\] is 2, but with 2 classes"):
        confusion_matrix(torch.tensor([0, 2]), torch.tensor([0, 1]), 2)
    with pytest.raises(DataError, match=r"labels\[0\] is -1, but with 2 classes"):
        confusion_matrix(torch.tensor([0, 1]), torch.tensor([-1, 1]), 2)


@pytest.mark.parametrize("score", [class_scores, macro_f1, micro_f1, matthews])
def test_a_matrix_without_rows_is_refused(score) -> None:
    with pytest.raises(DataError, match="matrix counts 0 rows"):
        score(torch.zeros(3, 3, dtype=torch.long))


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_matrix_that_is_not_square_is_refused() -> None:
    with pytest.raises(DataError, match="matrix has 2 rows and 3 columns"):
        balanced_accuracy(torch.ones(2, 3, dtype=torch.long))


@pytest.mark.parametrize("seed", range(5))
def test_multilabel_scores_equal_scikit_learn(seed: int) -> None:
    probabilities, labels = random_label_sets(seed)
    predicted = probabilities > 0.6
    found = multilabel_scores(predicted, labels)
    assert found.micro_f1 == pytest.approx(judge.f1_score(labels, predicted, average="micro"))
    assert found.macro_f1 == pytest.approx(judge.f1_score(labels, predicted, average="macro"))
    assert found.exact_match == pytest.approx(judge.accuracy_score(labels, predicted))
    expected = judge.precision_recall_fscore_support(labels, predicted)
    for ours, theirs in zip(found.classes, zip(*expected, strict=True), strict=True):
        assert (ours.precision, ours.recall, ours.f1, ours.support) == pytest.approx(theirs)


def test_two_empty_sets_of_labels_match() -> None:
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    found = multilabel_scores(nothing, nothing)
    assert (found.exact_match, found.micro_f1, found.macro_f1) == (1.0, 0.0, 0.0)


def test_a_label_that_is_nowhere_does_not_lower_the_macro_average() -> None:
    labels = torch.tensor([[True, False], [True, False]])
    assert multilabel_scores(labels, labels).macro_f1 == 1.0


@pytest.mark.usefixtures("unchecked_shapes")
def test_label_sets_of_different_widths_are_refused() -> None:
    wide, narrow = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(DataError, match="predicted has 3 classes and labels has 2"):
        multilabel_scores(wide, narrow)
    with pytest.raises(DataError, match="probabilities has 2 classes and labels has 3"):
        best_thresholds(narrow.double(), wide)


def test_label_sets_without_classes_are_refused() -> None:
    nothing = torch.ones(2, 0, dtype=torch.bool)
    with pytest.raises(DataError, match="predicted has 0 classes and labels has 0"):
        multilabel_scores(nothing, nothing)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(2))
def test_no_threshold_reaches_a_better_f1(seed: int, dtype: torch.dtype) -> None:
    probabilities, labels = random_label_sets(seed)
    # Rounded, so that many are equal.
    probabilities = (probabilities * 20).round().div(20).to(dtype)
    chosen = multilabel_scores(probabilities >= best_thresholds(probabilities, labels), labels)
    for column, score in enumerate(chosen.classes):
        every = [
            judge.f1_score(labels[:, column], probabilities[:, column] >= value)
            for value in probabilities[:, column]
        ]
        assert score.f1 == pytest.approx(max(every))


def test_a_threshold_lies_half_way_between_what_it_tells_apart() -> None:
    probabilities = torch.tensor([[0.75], [0.5], [0.25]], dtype=torch.float64)
    labels = torch.tensor([[True], [False], [False]])
    assert best_thresholds(probabilities, labels).tolist() == [0.625]


def test_a_threshold_that_rejects_nothing_lies_half_way_to_zero() -> None:
    probabilities = torch.tensor([[0.75], [0.5]], dtype=torch.float64)
    labels = torch.tensor([[True], [True]])
    assert best_thresholds(probabilities, labels).tolist() == [0.25]


def test_of_equally_good_thresholds_the_nearest_to_a_half_is_taken() -> None:
    # F1 is 2/3 for the first row alone and for the first four, and lower between.
    probabilities = torch.tensor([[0.95], [0.85], [0.6], [0.5], [0.1]], dtype=torch.float64)
    labels = torch.tensor([[True], [False], [False], [True], [False]])
    assert best_thresholds(probabilities, labels).tolist() == [pytest.approx(0.3)]
    assert best_thresholds(probabilities + 0.05, labels).tolist() == [pytest.approx(0.35)]


def test_of_two_equally_near_thresholds_the_higher_is_taken() -> None:
    probabilities = torch.tensor([[0.875], [0.625], [0.5], [0.375], [0.125]], dtype=torch.float64)
    labels = torch.tensor([[True], [False], [False], [True], [False]])
    # 0.75 accepts one row, 0.25 accepts four: F1 is 2/3 for both.
    assert best_thresholds(probabilities, labels).tolist() == [0.75]


def test_a_class_without_a_row_gets_one_half() -> None:
    probabilities = torch.tensor([[0.9, 0.9], [0.2, 0.2]])
    labels = torch.tensor([[False, True], [False, False]])
    found = best_thresholds(probabilities, labels)
    assert found[0] == 0.5
    assert found[1] == pytest.approx(0.55)


def test_neighbouring_floats_are_told_apart() -> None:
    # Half way between two neighbours rounds onto the lower one of every other pair.
    lower = 0.3
    for _ in range(4):
        upper = math.nextafter(lower, 1.0)
        probabilities = torch.tensor([[upper], [lower]], dtype=torch.float64)
        labels = torch.tensor([[True], [False]])
        threshold = best_thresholds(probabilities, labels)
        assert (probabilities >= threshold).tolist() == labels.tolist()
        lower = upper


def test_a_probability_of_zero_can_be_accepted() -> None:
    probabilities = torch.tensor([[0.0], [0.0]])
    assert best_thresholds(probabilities, torch.tensor([[True], [False]])).tolist() == [0.0]
    probabilities = torch.tensor([[0.9], [0.0]])
    assert best_thresholds(probabilities, torch.tensor([[True], [True]])).tolist() == [0.0]


def test_each_class_has_its_own_threshold() -> None:
    probabilities = torch.tensor([[0.75, 0.25], [0.25, 0.5], [0.5, 0.75]], dtype=torch.float64)
    labels = torch.tensor([[True, True], [False, True], [False, True]])
    assert best_thresholds(probabilities, labels).tolist() == [0.625, 0.125]


def test_thresholds_of_logits_are_refused() -> None:
    with pytest.raises(DataError, match=r"probabilities\[0, 1\] is 2.5"):
        best_thresholds(torch.tensor([[0.5, 2.5]]), torch.tensor([[True, True]]))


def test_thresholds_of_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="probabilities has 0 rows and labels has 0 rows"):
        best_thresholds(torch.zeros(0, 2), torch.zeros(0, 2, dtype=torch.bool))
