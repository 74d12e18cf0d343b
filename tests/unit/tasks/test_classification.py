import math
from typing import Any

import pytest
import torch
from tables import make_table
from torch import Tensor

from zhixing.data.batch import Example, filled_up
from zhixing.data.table import Table
from zhixing.errors import ConfigError, DataError
from zhixing.layers.dropout import Noise
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.classification import ClassificationTask
from zhixing.tokenization.training import train_tokenizer

TEXTS = ["good kind fine", "bad poor rude", "good bad", "fine rude kind poor"] * 3
TOKENIZER = train_tokenizer(TEXTS, kind="wordpiece", vocab_size=60)
LONG = " ".join(["good", "bad", "kind", "rude", "fine"] * 8)


def tiny_model(num_classes: int) -> Transformer:
    """Build a model in float64 that reads ten positions."""
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=8,
        encoder_layers=1,
        num_heads=2,
        feed_forward_size=16,
        max_positions=10,
        token_types=2,
        head="classification",
        num_classes=num_classes,
        initial_std=0.5,
    )
    return build(config, seed=2).double()


def table_of(texts: list[str], labels: Any = None, pairs: list[str] | None = None) -> Table:
    """Make a table whose rows are counted from 11."""
    is_multi = labels is not None and isinstance(labels[0], tuple)
    rows = list(range(11, 11 + len(texts)))
    return make_table(texts, labels, pairs=pairs, rows=rows, source="reviews.csv", multi=is_multi)


def make_task(labels: str = "abc", **options: Any) -> ClassificationTask:
    """Make a task of one-letter labels."""
    return ClassificationTask(TOKENIZER, list(labels), **{"max_positions": 10, **options})


def examples_of(count: int) -> list[Example]:
    """Make unlabelled examples."""
    return make_task().encode(table_of(TEXTS[:count]))


def loss_by_hand(logits: Tensor, targets: list[int], smoothing: float = 0.0) -> list[Tensor]:
    """Compute each row's cross-entropy, a share of the target spread over all classes."""
    log_probs = logits.log_softmax(-1)
    return [
        -(1 - smoothing) * row[target] - smoothing * row.mean()
        for row, target in zip(log_probs, targets, strict=True)
    ]


@pytest.mark.parametrize("labels", [[], ["a", "b", "a"]])
def test_labels_are_one_of_each_and_at_least_one(labels: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        ClassificationTask(TOKENIZER, labels, max_positions=10)
    assert str(caught.value) == f"labels are {labels}; there has to be one of each, at least one"


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_label_smoothing_of_one_or_more_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=f"label_smoothing is {share}; allowed is 0 to below 1"):
        make_task(label_smoothing=share)


def test_a_short_text_is_one_window_and_wholly_read() -> None:
    (example,) = make_task().encode(table_of(["good kind"], ["c"]))
    assert (
        example.windows[0].input_ids.tolist()
        == TOKENIZER.wrap(TOKENIZER.ids(["good kind"])[0]).input_ids
    )
    assert (example.target, example.row) == ((2,), 11)
    assert (example.tokens_given, example.tokens_read) == (2, 2)


def test_an_empty_text_is_an_example_too() -> None:
    (example,) = make_task().encode(table_of([""]))
    assert len(example.windows) == 1
    assert (example.tokens_given, example.tokens_read, example.target) == (0, 0, None)


def test_a_long_text_is_wholly_read_in_windows_that_fit() -> None:
    (example,) = make_task().encode(table_of([LONG]))
    assert len(example.windows) == 6
    assert max(len(window) for window in example.windows) == 10
    assert (example.tokens_given, example.tokens_read) == (40, 40)


def test_with_a_limit_windows_are_taken_evenly_and_what_is_left_out_is_counted() -> None:
    (example,) = make_task(max_windows=2).encode(table_of([LONG]))
    whole = make_task().encode(table_of([LONG]))[0]
    ends = [whole.windows[0].input_ids.tolist(), whole.windows[-1].input_ids.tolist()]
    assert [window.input_ids.tolist() for window in example.windows] == ends
    assert (example.tokens_given, example.tokens_read) == (40, 16)


def test_a_model_without_a_longest_text_reads_any_in_one_window() -> None:
    (example,) = make_task(max_positions=None).encode(table_of([LONG]))
    assert len(example.windows) == 1 and example.num_tokens == 42


def test_a_pair_is_read_together_with_its_token_types() -> None:
    (example,) = make_task().encode(table_of(["good kind"], pairs=["bad"]))
    (window,) = example.windows
    wrapped = TOKENIZER.wrap(*TOKENIZER.ids(["good kind", "bad"]))
    assert window.input_ids.tolist() == wrapped.input_ids
    expected = wrapped.token_type_ids if any(wrapped.token_type_ids) else None
    assert (None if window.token_type_ids is None else window.token_type_ids.tolist()) == expected
    assert example.tokens_given == 3


@pytest.mark.parametrize(("first", "second"), [(LONG, "bad"), ("bad", LONG), (LONG, LONG)])
def test_long_pairs_are_wholly_read(first: str, second: str) -> None:
    (example,) = make_task().encode(table_of([first], pairs=[second]))
    assert len(example.windows) > 1
    assert max(len(window) for window in example.windows) <= 10
    assert example.tokens_read == example.tokens_given > 40


def test_an_unknown_label_is_named_with_its_row() -> None:
    with pytest.raises(DataError) as caught:
        make_task().encode(table_of(TEXTS[:3], ["a", "z", "y"]))
    assert str(caught.value) == (
        "reviews.csv: 2 labels are unknown to the model, the first in row 12: 'z'; "
        "known are a, b, c: correct them or train with them"
    )


def test_of_many_known_labels_twelve_are_named() -> None:
    with pytest.raises(DataError, match=r"known are a, b, .*, k, l, \.\.\.: correct"):
        make_task("abcdefghijklmn").encode(table_of(TEXTS[:1], ["?"]))


def test_the_logits_of_a_long_text_are_the_mean_of_its_windows() -> None:
    model, task = tiny_model(3), make_task()
    examples = task.encode(table_of(["good", LONG, "bad kind"]))
    found = task.logits(model, task.collate(examples))
    for row, example in enumerate(examples):
        alone = [
            task.logits(model, task.collate([Example((window,), None, 1, 1, 1)]))[0]
            for window in example.windows
        ]
        torch.testing.assert_close(found[row], torch.stack(alone).mean(0), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_a_sum_over_rows(smoothing: float) -> None:
    model, task = tiny_model(3), make_task(label_smoothing=smoothing)
    batch = task.collate(task.encode(table_of(TEXTS[:3], ["a", "c", "b"])))
    loss = task.loss(model, batch)
    logits = task.logits(model, batch)
    assert batch.target is not None
    expected = sum(loss_by_hand(logits, batch.target.tolist(), smoothing))
    torch.testing.assert_close(loss.total, expected, rtol=1e-12, atol=1e-12)
    assert loss.weight == task.weight(batch) == 3.0


def test_class_weights_weigh_the_loss_and_what_it_is_divided_by() -> None:
    model, task = tiny_model(3), make_task(class_weights=[0.5, 1.0, 2.0])
    batch = task.collate(task.encode(table_of(TEXTS[:3], ["a", "c", "c"])))
    loss = task.loss(model, batch)
    rows = loss_by_hand(task.logits(model, batch), [0, 2, 2])
    torch.testing.assert_close(loss.total, 0.5 * rows[0] + 2.0 * rows[1] + 2.0 * rows[2])
    assert loss.weight == 4.5


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_multi_label_loss_asks_of_each_label_by_itself(smoothing: float) -> None:
    task = make_task(is_multi_label=True, label_smoothing=smoothing)
    model = tiny_model(3)
    batch = task.collate(task.encode(table_of(TEXTS[:2], [("a", "c"), ()])))
    assert batch.target is not None
    assert batch.target.tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    loss = task.loss(model, batch)
    chances = task.logits(model, batch).sigmoid()
    targets = batch.target.double() * (1 - smoothing) + smoothing / 2
    expected = -(targets * chances.log() + (1 - targets) * (1 - chances).log()).sum()
    torch.testing.assert_close(loss.total, expected, rtol=1e-6, atol=1e-6)
    assert loss.weight == 6.0


def test_noise_and_recomputing_reach_the_model() -> None:
    model, task = tiny_model(3), make_task()
    batch = task.collate(task.encode(table_of(TEXTS[:3], ["a", "c", "b"])))
    plain = task.loss(model, batch).total
    dropped = task.loss(model, batch, noise=Noise((1,))).total
    again = task.loss(model, batch, noise=Noise((1,)), gradient_checkpointing=True).total
    assert float(plain.detach()) != float(dropped.detach()) == float(again.detach())


@pytest.mark.parametrize("is_multi_label", [False, True])
def test_a_row_of_weight_two_counts_as_if_it_were_there_twice(is_multi_label: bool) -> None:
    model, task = tiny_model(3), make_task(is_multi_label=is_multi_label)
    labels = [("a",), ("b", "c")] if is_multi_label else ["a", "b"]
    table = table_of(TEXTS[:2], labels)
    weighted = task.collate(task.encode(table.with_cells("weight", [2.0, 1.0])))
    repeated = task.collate(task.encode(table.select([0, 0, 1])))
    assert task.weight(weighted) == task.weight(repeated)
    found, expected = (float(task.loss(model, b).total.detach()) for b in (weighted, repeated))
    assert found == pytest.approx(expected, rel=1e-5)


def test_scores_count_every_row_alike() -> None:
    task = make_task()
    table = table_of(TEXTS[:2], ["a", "b"])
    logits = torch.eye(3)[[0, 2]]
    plain, weighted = (
        task.score(logits, task.encode(t)) for t in (table, table.with_cells("weight", [9.0, 1.0]))
    )
    assert plain == weighted


def test_rows_without_labels_have_no_loss() -> None:
    task = make_task()
    batch = task.collate(examples_of(2))
    with pytest.raises(DataError, match="these rows have no labels, and a loss needs them"):
        task.weight(batch)
    with pytest.raises(DataError, match="these rows have no labels, and a loss needs them"):
        task.loss(tiny_model(3), batch)
    with pytest.raises(DataError, match="these rows have no labels to score against"):
        task.score(torch.zeros(2, 3), examples_of(2))


def test_scores_are_those_of_the_most_probable_labels() -> None:
    task = make_task()
    examples = task.encode(table_of(TEXTS[:4], ["a", "b", "c", "c"]))
    logits = torch.eye(3)[[0, 1, 2, 0]]
    scores = task.score(logits, examples)
    rows = loss_by_hand(logits, [0, 1, 2, 2])
    assert scores["loss"] == pytest.approx(float(sum(rows)) / 4)
    assert scores["accuracy"] == scores["micro_f1"] == 0.75
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    assert {"balanced_accuracy", "matthews"} < set(scores)


def test_multi_label_scores_count_what_is_more_likely_than_not() -> None:
    task = make_task(is_multi_label=True)
    examples = task.encode(table_of(TEXTS[:2], [("a", "b"), ()]))
    scores = task.score(torch.tensor([[2.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]), examples)
    assert scores["exact_match"] == 0.5
    assert scores["micro_f1"] == pytest.approx(2 / 3)
    assert set(scores) == {"loss", "micro_f1", "macro_f1", "exact_match"}


def test_a_result_names_the_most_probable_label_and_all_scores() -> None:
    task = make_task()
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]])
    (found,) = task.decode(logits, examples_of(1))
    assert (found.label, found.labels) == ("c", ("c",))
    assert found.score == pytest.approx(5 / 8)
    assert found.scores == pytest.approx({"a": 1 / 8, "b": 2 / 8, "c": 5 / 8})
    assert found.to_dict() == {
        "label": "c",
        "score": found.score,
        "scores": dict(found.scores),
        "labels": ["c"],
        "coverage": {"read": 3, "total": 3},
    }


def test_a_temperature_divides_the_logits() -> None:
    (found,) = make_task("ab").decode(
        torch.tensor([[0.0, 2 * math.log(3)]]), examples_of(1), temperature=2.0
    )
    assert found.score == pytest.approx(0.75)


@pytest.mark.parametrize(("threshold", "label"), [(0.62, "c"), (0.63, None)])
def test_below_the_threshold_no_label_is_given_but_its_score_is(
    threshold: float, label: str | None
) -> None:
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]])
    (found,) = make_task().decode(logits, examples_of(1), threshold=threshold)
    assert found.label == label
    assert found.labels == (() if label is None else (label,))
    assert found.score == pytest.approx(0.625)


def test_of_the_scores_the_highest_are_kept_in_their_order() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    task = make_task()
    assert list(task.decode(logits, examples_of(1), top_k=2)[0].scores) == ["b", "c"]
    assert list(task.decode(logits, examples_of(1), top_k=9)[0].scores) == ["b", "c", "a"]
    assert list(task.decode(logits, examples_of(1))[0].scores) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("thresholds", "threshold", "labels"),
    [
        ((), 0.0, ("a", "b")),
        ((0.9, 0.5, 0.1), 0.0, ("b", "c")),
        ((0.9, 0.5, 0.1), 0.3, ("b",)),
        ((), 0.99, ()),
    ],
)
def test_several_labels_are_given_where_each_reaches_its_threshold(
    thresholds: tuple[float, ...], threshold: float, labels: tuple[str, ...]
) -> None:
    logits = torch.tensor([[math.log(3), math.log(4), math.log(0.25)]])
    task = make_task(is_multi_label=True)
    (found,) = task.decode(logits, examples_of(1), thresholds=thresholds, threshold=threshold)
    assert (found.label, found.labels) == (None, labels)
    assert found.score == pytest.approx(0.8)
    assert found.scores == pytest.approx({"a": 0.75, "b": 0.8, "c": 0.2})


@pytest.mark.parametrize("class_weights", [None, [1.0, 3.0]])
def test_a_filled_up_batch_has_the_loss_and_the_gradient_of_the_batch(
    class_weights: list[float] | None,
) -> None:
    task = make_task("ab", class_weights=class_weights)
    labels = ["a", "b", "b"] * 5
    examples = task.encode(table_of([*TEXTS, LONG, "fine", "rude"], labels))
    model = tiny_model(2)
    found = []
    for rows in (examples, filled_up(examples, 64)):
        batch = task.collate(rows)
        loss = task.loss(model, batch)
        loss.total.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        model.zero_grad(set_to_none=True)
        found.append((batch.num_tokens, loss.weight, loss.total.detach(), gradients))
    (tokens, weight, total, gradients), (filled, *others) = found
    assert filled > tokens and filled % 64 == 0
    assert weight == others[0]
    torch.testing.assert_close([total, *gradients], [others[1], *others[2]], rtol=1e-9, atol=1e-12)
