import numpy
import pytest
import torch

from zhixing.data.batch import Example, Window
from zhixing.errors import DataError
from zhixing.evaluation.claims import Origin
from zhixing.jobs.classify.report import evaluate_logits

ORIGIN = Origin(data="d" * 64, model="m" * 64, version="1.2.3", seed=7)


def example(row: int, *labels: int, read: int = 2, given: int = 2) -> Example:
    window = Window(numpy.zeros(2, dtype=numpy.int32), None)
    return Example((window,), labels, row, given, read)


def single(logits: list[list[float]], targets: list[int], **changes: object):
    examples = [example(10 + i, target) for i, target in enumerate(targets)]
    given = {"is_multi_label": False, "temperature": 1.0, "thresholds": (), "origin": ORIGIN}
    return evaluate_logits(torch.tensor(logits), examples, ["no", "yes"], **(given | changes))


def test_the_scores_are_those_counted_by_hand() -> None:
    report = single([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 2.0]], [0, 1, 1, 1])
    assert report.scores["accuracy"].value == 0.75
    # no: precision 1/2, recall 1; yes: precision 1, recall 2/3.
    assert report.scores["macro_f1"].value == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert report.confusion == [[1, 0], [1, 2]]
    assert report.majority == 0.75 and report.rows == 4
    assert report.classes["yes"].recall == pytest.approx(2 / 3)
    assert report.classes["yes"].support == 3
    interval = report.scores["accuracy"].interval
    assert 0.0 <= interval.low <= 0.75 <= interval.high <= 1.0


def test_the_surest_mistakes_come_first_with_their_rows() -> None:
    report = single([[1.0, 0.0], [4.0, 0.0], [0.0, 9.0]], [1, 1, 1])
    assert [mistake.row for mistake in report.mistakes] == [11, 10]
    first = report.mistakes[0]
    assert (first.index, first.label, first.predicted) == (1, "yes", "no")
    assert first.confidence == pytest.approx(float(torch.tensor([4.0, 0.0]).softmax(0)[0]))
    assert len(single([[1.0, 0.0]] * 5, [1] * 5, max_mistakes=2).mistakes) == 2


def test_a_temperature_changes_confidence_and_not_the_answers() -> None:
    logits, targets = [[4.0, 0.0], [4.0, 0.0]], [0, 1]
    sharp, soft = single(logits, targets), single(logits, targets, temperature=1e6)
    assert sharp.scores["accuracy"].value == soft.scores["accuracy"].value == 0.5
    assert soft.calibration_error == pytest.approx(0.0, abs=1e-5)
    assert sharp.calibration_error == pytest.approx(sharp.mistakes[0].confidence - 0.5)


def test_the_signature_names_all_that_the_score_depends_on() -> None:
    signature = single([[1.0, 0.0]], [0]).signature
    for part in ("metric:accuracy", "rows:1", "seed:7", "data:dddddddddddd", "model:mmmmmmmmmmmm"):
        assert part in signature.split("|")
    assert "version:1.2.3" in signature


def test_several_labels_are_scored_at_their_thresholds() -> None:
    logits = torch.tensor([[2.0, -2.0], [2.0, 0.1], [-2.0, -2.0]])
    examples = [example(1, 0), example(2, 0), example(3)]
    report = evaluate_logits(
        logits,
        examples,
        ["a", "b"],
        is_multi_label=True,
        temperature=1.0,
        thresholds=(0.5, 0.5),
        origin=ORIGIN,
    )
    # Two right, one too many, none missed.
    assert report.scores["micro_f1"].value == pytest.approx(4 / 5)
    assert report.scores["exact_match"].value == pytest.approx(2 / 3)
    assert report.confusion is None and report.majority is None
    assert [(m.row, m.label, m.predicted) for m in report.mistakes] == [(2, "a", "a, b")]
    stricter = evaluate_logits(
        logits,
        examples,
        ["a", "b"],
        is_multi_label=True,
        temperature=1.0,
        thresholds=(0.5, 0.9),
        origin=ORIGIN,
    )
    assert stricter.scores["exact_match"].value == 1.0
    assert stricter.to_dict()["scores"]["micro_f1"]["value"] == 1.0


def test_tokens_read_and_given_are_summed() -> None:
    examples = [example(1, 0, read=3, given=5), example(2, 1, read=2, given=2)]
    report = evaluate_logits(
        torch.zeros(2, 2),
        examples,
        ["a", "b"],
        is_multi_label=False,
        temperature=1.0,
        thresholds=(),
        origin=ORIGIN,
    )
    assert (report.tokens_read, report.tokens_given) == (5, 7)


def test_rows_without_labels_are_refused() -> None:
    with pytest.raises(DataError, match="scoring needs labelled rows, at least one"):
        single(torch.zeros(0, 2).tolist() or [[0.0, 0.0]], [])
