import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tables import make_table

from zhixing.data.batch import Batch, Example
from zhixing.errors import TrainingError
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.classification import ClassificationTask
from zhixing.tokenization.training import train_tokenizer
from zhixing.training.config import TrainingConfig
from zhixing.training.distributed import Ranks
from zhixing.training.events import Ended, Evaluated, Event, Saved, Stepped
from zhixing.training.loop import Run, plan_steps, train
from zhixing.training.snapshot import Snapshots, read_snapshot

WORDS = ["good", "bad", "fine", "poor", "kind", "rude"]
TEXTS = [" ".join(WORDS[(i * k) % 6] for k in range(1, 3 + i % 5)) for i in range(12)]
LABELS = [("no", "yes")[i % 2] for i in range(12)]
TOKENIZER = train_tokenizer(TEXTS * 3, kind="wordpiece", vocab_size=60)
CPU = torch.device("cpu")


def make_run(
    evaluate: Callable[[], Mapping[str, float]] | None = None,
    *,
    snapshots: Snapshots | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    **settings: object,
) -> Run:
    """Make a run over twelve rows that takes three steps an epoch."""
    values = {"epochs": 2.0, "batch_size": 4, "learning_rate": 1e-2, "snapshot_minutes": 0.0}
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=8,
        encoder_layers=1,
        num_heads=2,
        feed_forward_size=16,
        head="classification",
        num_classes=2,
        dropout=0.2,
        attention_dropout=0.0,
        initial_std=0.2,
    )
    task = ClassificationTask(TOKENIZER, ["no", "yes"], max_positions=64)
    rows = list(range(101, 113))
    return Run(
        model=build(config, seed=5),
        task=task,
        examples=task.encode(make_table(TEXTS, LABELS, rows=list(rows))),
        config=TrainingConfig(**{**values, **settings}),  # type: ignore[arg-type]
        device=CPU,
        evaluate=evaluate,
        snapshots=snapshots,
        should_stop=should_stop,
    )


def all_weights(model: Transformer) -> torch.Tensor:
    """Lay all weights end to end."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def scores_of(values: list[float], name: str = "accuracy") -> Callable[[], Mapping[str, float]]:
    """Give one score after the other, whatever the model."""
    left: Iterator[float] = iter(values)
    return lambda: {"loss": 1.0, name: next(left)}


def steps_of(events: list[Event]) -> list[Stepped]:
    """Keep the steps."""
    return [event for event in events if isinstance(event, Stepped)]


def evaluations_of(events: list[Event]) -> list[Evaluated]:
    """Keep the evaluations."""
    return [event for event in events if isinstance(event, Evaluated)]


def test_a_run_tells_each_step_and_its_end() -> None:
    events = list(train(make_run(warmup_ratio=0.5, learning_rate=0.06)))
    steps = steps_of(events)
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6]
    assert {event.total for event in steps} == {6}
    assert [event.epoch for event in steps] == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2])
    assert [event.learning_rate for event in steps] == pytest.approx(
        [0.02, 0.04, 0.06, 0.06, 0.04, 0.02]
    )
    assert all(event.tokens > 0 and event.gradient_norm > 0 for event in steps)
    assert events[-1] == Ended(6, "it is complete")


@pytest.mark.parametrize(
    ("settings", "total"),
    [
        ({"epochs": 2.0}, 6),
        ({"epochs": 0.5}, 2),
        ({"epochs": 1.34}, 5),
        ({"epochs": 1.0, "max_steps": 2}, 2),
        ({"epochs": 1.0, "max_steps": 9}, 3),
        ({"epochs": 1e-6}, 1),
    ],
)
def test_steps_are_counted_before_and_are_as_many_in_the_end(
    settings: dict[str, Any], total: int
) -> None:
    run = make_run(**settings)
    assert plan_steps(run) == (total, 3)
    assert len(steps_of(list(train(run)))) == total


def test_a_budget_of_tokens_reads_every_row_once_an_epoch() -> None:
    run = make_run(batch_size=0, batch_tokens=20, epochs=2.0)
    steps = steps_of(list(train(run)))
    assert sum(event.tokens for event in steps) == 2 * sum(e.num_tokens for e in run.examples)
    assert len(steps) == plan_steps(run)[0]


def test_validation_is_scored_as_often_as_asked_and_after_the_last_step() -> None:
    rising = scores_of([i / 10 for i in range(10)])
    events = list(train(make_run(rising, evaluations_per_epoch=3, epochs=2.0)))
    assert [event.step for event in evaluations_of(events)] == [1, 2, 3, 4, 5, 6]
    last = list(train(make_run(scores_of([0.1]), evaluations_per_epoch=0, epochs=2.0)))
    assert [event.step for event in evaluations_of(last)] == [6]
    once = list(train(make_run(scores_of([0.1, 0.2]), epochs=1.5)))
    assert [(e.step, e.epoch) for e in evaluations_of(once)] == [(3, 1.0), (5, 1 + 2 / 3)]


def test_the_best_is_kept_each_time_and_ties_keep_the_older() -> None:
    kept: list[int] = []
    run = make_run(scores_of([0.5, 0.7, 0.7, 0.6]), epochs=4.0)
    run = replace(run, keep_best=lambda: kept.append(len(kept)))
    marks = [event.is_best for event in evaluations_of(list(train(run)))]
    assert marks == [True, True, False, False]
    assert len(kept) == 2


def test_a_loss_is_better_when_it_is_lower() -> None:
    left = iter([0.5, 0.4, 0.6])
    run = make_run(lambda: {"loss": next(left), "accuracy": 0.0}, metric="loss", epochs=3.0)
    assert [event.is_best for event in evaluations_of(list(train(run)))] == [True, True, False]


def test_the_metric_asked_for_decides() -> None:
    left = iter([0.5, 0.4, 0.6])
    run = make_run(lambda: {"accuracy": 0.0, "macro_f1": next(left)}, metric="macro_f1", epochs=3.0)
    assert [event.is_best for event in evaluations_of(list(train(run)))] == [True, False, True]


def test_a_run_that_gets_no_better_stops_early_and_stays_so_when_resumed(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, keep=2)
    run = make_run(scores_of([0.5, 0.4, 0.5, 0.9]), epochs=9.0, patience=2, snapshots=snapshots)
    events = list(train(run))
    assert events[-1] == Ended(9, "2 evaluations in a row brought nothing better")
    saved = snapshots.newest()[0]
    assert saved is not None and saved.state.worse == 2 and saved.state.best_step == 3
    again = make_run(scores_of([0.9]), epochs=9.0, patience=2, snapshots=snapshots)
    assert list(train(again, start=saved)) == [Ended(9, "it was complete before")]
    assert torch.equal(all_weights(again.model), all_weights(run.model))


def test_a_run_that_is_asked_to_stop_leaves_a_snapshot(tmp_path: Path) -> None:
    answers = iter([False, True])
    run = make_run(snapshots=Snapshots(tmp_path, keep=2), should_stop=lambda: next(answers))
    events = list(train(run))
    assert [type(event) for event in events] == [Stepped, Stepped, Saved, Ended]
    assert events[-1] == Ended(2, "it was asked to stop", is_stopped=True)
    assert read_snapshot(tmp_path / "step-00000002").state.batch == 2


def test_snapshots_come_every_so_many_steps_and_at_the_end(tmp_path: Path) -> None:
    run = make_run(snapshots=Snapshots(tmp_path, keep=9), snapshot_steps=4)
    saved = [event.step for event in train(run) if isinstance(event, Saved)]
    assert saved == [4, 6]


def test_snapshots_come_when_the_time_has_passed(tmp_path: Path) -> None:
    run = make_run(snapshots=Snapshots(tmp_path, keep=9), snapshot_minutes=1e-9)
    assert [event.step for event in train(run) if isinstance(event, Saved)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_resumed_after_any_step_it_ends_with_the_same_bits(tmp_path: Path, precision: str) -> None:
    settings: dict[str, Any] = {
        "precision": precision,
        "max_grad_norm": 0.1,
        "layer_rate_decay": 0.9,
    }
    whole = make_run(snapshots=Snapshots(tmp_path, keep=9), snapshot_steps=1, **settings)
    events = steps_of(list(train(whole)))
    for step in (1, 3, 5):
        run = make_run(**settings)
        start = read_snapshot(tmp_path / f"step-{step:08d}")
        rest = steps_of(list(train(run, start=start)))
        assert [(e.step, e.loss) for e in rest] == [(e.step, e.loss) for e in events[step:]]
        assert torch.equal(all_weights(run.model), all_weights(whole.model))


class Watched(ClassificationTask):
    """Tells which rows were read, step by step."""

    def __init__(self) -> None:
        super().__init__(TOKENIZER, ["no", "yes"], max_positions=64)
        self.read: list[list[int]] = []

    def collate(self, examples: Sequence[Example]) -> Batch:
        self.read.append([example.row for example in examples])
        return super().collate(examples)


@pytest.mark.parametrize("step", [1, 3, 4])
@pytest.mark.parametrize("settings", [{}, {"batch_size": 0, "batch_tokens": 22}])
def test_a_resumed_run_reads_the_batches_that_are_left_and_none_twice(
    tmp_path: Path, step: int, settings: dict[str, Any]
) -> None:
    whole, before, after = Watched(), Watched(), Watched()
    list(train(replace(make_run(**settings), task=whole)))
    for half in range(0, len(whole.read), len(whole.read) // 2):
        epoch = whole.read[half : half + len(whole.read) // 2]
        assert sorted(row for rows in epoch for row in rows) == list(range(101, 113))
    snapshots = Snapshots(tmp_path, keep=1)
    answers = iter([False] * (step - 1) + [True])
    stopped = make_run(snapshots=snapshots, should_stop=lambda: next(answers), **settings)
    list(train(replace(stopped, task=before)))
    assert before.read == whole.read[:step]
    list(train(replace(make_run(**settings), task=after), start=snapshots.newest()[0]))
    assert after.read == whole.read[step:]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_run_ends_with_the_mean_of_its_last_weights_also_when_resumed(
    tmp_path: Path, at_once: bool
) -> None:
    plain = make_run(snapshots=Snapshots(tmp_path / "plain", keep=9), snapshot_steps=1)
    list(train(plain))
    points = [read_snapshot(path).weights for path in Snapshots(tmp_path / "plain", keep=9).all()]
    settings: dict[str, Any] = {"average_points": 3, "average_share": 0.5, "snapshot_steps": 1}
    run = make_run(snapshots=Snapshots(tmp_path / "mean", keep=9), **settings)
    list(train(run))
    if not at_once:
        start = read_snapshot(tmp_path / "mean" / "step-00000005")
        unbroken = all_weights(run.model)
        run = make_run(**settings)
        list(train(run, start=start))
        assert torch.equal(all_weights(run.model), unbroken)
    assert len(points) == 6
    for name, weight in run.model.named_parameters():
        mean = torch.stack([point[name] for point in points[3:]]).mean(0)
        torch.testing.assert_close(weight.detach(), mean)


def test_the_mean_is_what_is_scored_after_the_last_step() -> None:
    seen: list[torch.Tensor] = []

    def score() -> Mapping[str, float]:
        seen.append(all_weights(run.model))
        return {"loss": 1.0}

    run = make_run(score, average_points=2)
    list(train(run))
    assert torch.equal(seen[-1], all_weights(run.model))


def test_recomputing_changes_no_bit_even_with_dropout() -> None:
    plain, again = make_run(attention_dropout=0.0), make_run(gradient_checkpointing=True)
    for run in (plain, again):
        list(train(run))
    assert torch.equal(all_weights(plain.model), all_weights(again.model))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_narrow_precision_learns(precision: str) -> None:
    run = make_run(precision=precision, epochs=20.0, learning_rate=2e-2)
    run.model.encoder.dropout = run.model.embedding.dropout = 0.0
    steps = steps_of(list(train(run)))
    assert steps[-1].loss < 0.6 * steps[0].loss
    assert all(parameter.dtype == torch.float32 for parameter in run.model.parameters())


def test_a_poisoned_weight_stops_the_run_with_step_rows_and_snapshot(tmp_path: Path) -> None:
    run = make_run(snapshots=Snapshots(tmp_path, keep=1), snapshot_steps=1)
    events = train(run)
    assert [type(next(events)) for _ in range(2)] == [Stepped, Saved]
    with torch.no_grad():
        run.model.encoder.blocks[0].get_parameter("attention.output.bias")[0] = math.nan
    with pytest.raises(TrainingError) as caught:
        next(events)
    message = str(caught.value)
    assert message.startswith("the loss is nan and its gradient nan at step 2 (rows 1")
    assert f"{tmp_path / 'step-00000001'} is good" in message
    assert "a lower rate than 0.01" in message


def test_a_resumed_run_knows_the_snapshot_that_it_began_from(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path, keep=1)
    list(train(make_run(snapshots=snapshots, max_steps=2)))
    run = make_run(snapshots=snapshots)
    events = train(run, start=snapshots.newest()[0])
    next(events)
    with torch.no_grad():
        run.model.encoder.blocks[0].get_parameter("attention.output.bias")[0] = math.nan
    with pytest.raises(TrainingError, match=r"step-00000002 is good"):
        next(events)


def test_a_rate_that_is_too_high_is_stopped_with_the_rate(tmp_path: Path) -> None:
    run = make_run(
        learning_rate=10.0, epochs=60.0, warmup_ratio=0.0, max_grad_norm=0.0, schedule="constant"
    )
    with pytest.raises(TrainingError, match=r"at step \d+ \(rows 1\d\d.*lower rate than 10"):
        list(train(run))


def test_float16_does_not_skip_steps_for_ever(tmp_path: Path) -> None:
    run = make_run(precision="float16", epochs=20.0)
    with torch.no_grad():
        run.model.encoder.blocks[0].get_parameter("attention.output.bias")[0] = math.nan
    with pytest.raises(TrainingError, match="the loss is nan and its gradient nan at step 17"):
        list(train(run))


def test_parts_of_a_step_give_the_step_in_one() -> None:
    runs = [make_run(micro_tokens=tokens, max_steps=5) for tokens in (1, 12, 8192)]
    for run in runs:
        run.model.encoder.dropout = run.model.embedding.dropout = 0.0
        if run.model.classification is not None:
            run.model.classification.dropout = 0.0
        run.model.double()
        list(train(run))
    for run in runs[1:]:
        torch.testing.assert_close(
            all_weights(run.model), all_weights(runs[0].model), rtol=1e-6, atol=1e-8
        )


def test_the_first_rank_of_one_is_the_whole_run() -> None:
    assert make_run().ranks == Ranks()


def test_the_model_is_given_back_as_it_was_even_when_the_run_is_left() -> None:
    run = make_run()
    events = train(run)
    next(events)
    assert run.model.embedding.tokens.sparse
    events.close()  # type: ignore[attr-defined]
    assert not run.model.embedding.tokens.sparse
    assert run.model.embedding.tokens.weight.grad is None
