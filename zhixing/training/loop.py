"""The training loop: gradient accumulation, clipping, step. It knows of a task only its loss."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from zhixing.data.batch import Example
from zhixing.data.loader import epoch_batches, fill
from zhixing.errors import TrainingError
from zhixing.layers.dropout import Noise
from zhixing.layers.kernels.packed_linear import KERNEL_ROWS
from zhixing.models.transformer import Transformer
from zhixing.tasks.inference import mixed_precision, resolved
from zhixing.tasks.task import Task
from zhixing.training.averaging import WeightMean, marks
from zhixing.training.config import TrainingConfig
from zhixing.training.distributed import Ranks
from zhixing.training.events import Ended, Evaluated, Event, Saved, Stepped
from zhixing.training.optimizers import Gradients, make_optimizer, set_rate
from zhixing.training.precision import LossScale
from zhixing.training.schedules import rate_factor
from zhixing.training.snapshot import LoopState, Snapshot, Snapshots, moments_of, restore_moments

# A loss so many times the first one's is taken for an explosion, not for noise.
MAX_LOSS_RATIO = 50.0
ASKED_TO_STOP = "it was asked to stop"


@dataclass(frozen=True)
class Run:
    """All that a training run needs.

    Attributes:
        model: On `device`, with adapters and frozen parts already as they should be.
        task: Gives batches and a loss.
        examples: What is learned from.
        config: How.
        device: Where.
        evaluate: Scores the model on validation rows; None if there are none.
        keep_best: Is called when validation was never better.
        snapshots: Where the run's state is kept; None to keep none.
        ranks: Which of how many processes this is.
        should_stop: Is asked after every step; a run that is asked to stop writes a snapshot.
    """

    model: Transformer
    task: Task
    examples: Sequence[Example]
    config: TrainingConfig
    device: torch.device
    evaluate: Callable[[], Mapping[str, float]] | None = None
    keep_best: Callable[[], None] | None = None
    snapshots: Snapshots | None = None
    ranks: Ranks = Ranks()
    should_stop: Callable[[], bool] = lambda: False

    def batches(self, epoch: int) -> list[list[int]]:
        """Give the rows of every step of an epoch."""
        sizes = [example.num_tokens for example in self.examples]
        rows, tokens = self.config.batch_size, self.config.batch_tokens
        return epoch_batches(sizes, rows=rows, tokens=tokens, seed=self.config.seed, epoch=epoch)


def plan_steps(run: Run) -> tuple[int, int]:
    """Count the steps of the whole run and of its first epoch."""
    config = run.config
    epochs, rest = divmod(config.epochs, 1.0)
    counts = [len(run.batches(epoch)) for epoch in range(int(epochs) + (rest > 0))]
    total = sum(counts[: int(epochs)]) + (math.ceil(rest * counts[-1]) if rest else 0)
    return (min(total, config.max_steps) if config.max_steps else total), counts[0]


def train(run: Run, *, start: Snapshot | None = None) -> Iterator[Event]:
    """Run the training loop, yielding events; the model is changed in place.

    Killed at any moment and begun again from its newest snapshot, a run ends with the same bits,
    on the same machine, thread count and version of torch.

    Args:
        run: What to do.
        start: A snapshot to go on from.

    Raises:
        TrainingError: If the loss is not a number or has exploded; with the step, the rows and
            the last good snapshot.
    """
    loop = _Loop(run, start)
    try:
        yield from loop.steps()
    finally:
        loop.gradients.release()


class _Loop:
    """Hold what changes during a run."""

    def __init__(self, run: Run, start: Snapshot | None) -> None:
        self.run = run
        self.config = run.config
        self.precision = resolved(run.config.precision, run.device)
        builds_kernels = run.device.type == "cpu" and self.precision == "bfloat16"
        self.multiple = KERNEL_ROWS if builds_kernels else 1
        self.optimizer = make_optimizer(run.model, run.config)
        self.names: dict[Tensor, str] = {p: n for n, p in run.model.named_parameters()}
        self.state = LoopState()
        self.scale = LossScale(is_needed=self.precision == "float16")
        self.mean = WeightMean()
        if start is not None:
            self._restore(start)
        keeps_rows = run.ranks.world == 1 and not run.model.multiplies_by_tokens
        self.gradients = Gradients(run.model, keeps_rows=keeps_rows)
        self.total, self.per_epoch = plan_steps(run)
        self.averaged_steps = marks(
            self.total, points=run.config.average_points, share=run.config.average_share
        )
        self.last_save = time.monotonic()
        self.last_path: Path | None = None
        if start is not None and run.snapshots is not None:
            self.last_path = run.snapshots.folder_of(start.state.step)

    def steps(self) -> Iterator[Event]:
        while self.state.step < self.total and not self._is_worse_too_often():
            batches = self.run.batches(self.state.epoch)
            evaluated = self._evaluation_marks(len(batches))
            for index in range(self.state.batch, len(batches)):
                yield self._step(batches[index], len(batches))
                is_last = self.state.step >= self.total
                self._average(is_last)
                if self.run.evaluate is not None and (index + 1 in evaluated or is_last):
                    yield self._evaluated()
                stop = self._reason_to_stop(is_last)
                if self._is_time_to_save(stop):
                    yield self._save()
                if stop:
                    yield Ended(self.state.step, stop, is_stopped=stop == ASKED_TO_STOP)
                    return
            self.state = replace(self.state, epoch=self.state.epoch + 1, batch=0)
        yield Ended(self.state.step, "it was complete before")

    def _step(self, rows: Sequence[int], num_batches: int) -> Stepped:
        began = time.perf_counter()
        config, state = self.config, self.state
        warmup = math.ceil(config.warmup_ratio * self.total)
        factor = rate_factor(state.step, total=self.total, warmup=warmup, schedule=config.schedule)
        set_rate(self.optimizer, config.learning_rate * factor)
        loss, tokens = self._backward(self.run.ranks.share(rows))
        self.run.ranks.sum_gradients(self.run.model.parameters())
        norm = self.gradients.clip(config.max_grad_norm * self.scale.value) / self.scale.value
        if self.scale.accepts(norm):
            self._check(loss, norm, rows)
            self.scale.unscale(self.optimizer)
            self.optimizer.step()
        self.scale.update(norm)
        self.gradients.clear()
        seconds = time.perf_counter() - began
        self.state = replace(
            state,
            step=state.step + 1,
            batch=state.batch + 1,
            first_loss=loss if state.first_loss is None else state.first_loss,
            seconds=state.seconds + seconds,
            tokens=state.tokens + tokens,
            loss_scale=self.scale.value if self.scale.is_needed else 0.0,
            scale_growth=self.scale.growth,
        )
        return Stepped(
            step=self.state.step,
            total=self.total,
            epoch=state.epoch + self.state.batch / num_batches,
            loss=loss,
            learning_rate=config.learning_rate * factor,
            gradient_norm=norm,
            tokens=tokens,
            seconds=seconds,
        )

    def _backward(self, rows: Sequence[int]) -> tuple[float, int]:
        """Add up the gradients of this rank's rows; give the step's mean loss and its tokens.

        The sum over targets is divided by the targets of the whole step, all parts and all ranks,
        so that neither splitting nor accumulating changes anything but rounding.
        """
        run = self.run
        sizes = [run.examples[row].num_tokens for row in rows]
        parts = list(fill(range(len(rows)), sizes, self.config.micro_tokens))
        batches = [
            run.task.collate(
                run.task.filled_up([run.examples[rows[i]] for i in part], self.multiple)
            )
            for part in parts
        ]
        weight = sum(run.task.weight(batch) for batch in batches)
        weight, all_tokens = run.ranks.summed([weight, float(sum(sizes))])
        total = 0.0
        for number, batch in enumerate(batches):
            noise = Noise((self.config.seed, self.state.step, run.ranks.rank, number))
            with mixed_precision(run.device, self.precision):
                loss = run.task.loss(
                    run.model,
                    batch.to(run.device),
                    noise=noise,
                    gradient_checkpointing=self.config.gradient_checkpointing,
                )
                (loss.total * (self.scale.value / weight)).backward()
            total += float(loss.total.detach())
        return run.ranks.summed([total])[0] / weight, int(all_tokens)

    def _average(self, is_last: bool) -> None:
        """Take a point into the mean; after the last step the model becomes the mean."""
        if self.state.step not in self.averaged_steps:
            return
        self.mean.add(self.run.model)
        self.state = replace(self.state, averaged=self.mean.count)
        if is_last:
            self.mean.put_into(self.run.model)

    def _check(self, loss: float, norm: float, rows: Sequence[int]) -> None:
        first = self.state.first_loss
        limit = math.inf if first is None else MAX_LOSS_RATIO * max(first, 1.0)
        if math.isfinite(loss) and math.isfinite(norm) and loss <= limit:
            return
        numbers = [self.run.examples[row].row for row in rows[:16]]
        last = "there is no snapshot yet" if self.last_path is None else f"{self.last_path} is good"
        raise TrainingError(
            f"the loss is {loss:g} and its gradient {norm:g} at step {self.state.step + 1} "
            f"(rows {', '.join(map(str, numbers))}); {last}: train again with a lower rate than "
            f"{self.config.learning_rate:g} or a longer warm-up, and look at those rows"
        )

    def _evaluation_marks(self, num_batches: int) -> set[int]:
        times = self.config.evaluations_per_epoch
        return {max(round(num_batches * (i + 1) / times), 1) for i in range(times)}

    def _evaluated(self) -> Evaluated:
        began = time.perf_counter()
        scores: Mapping[str, float] = {}
        if self.run.ranks.is_first and self.run.evaluate is not None:
            scores = self.run.evaluate()
        metric = self.config.metric or next((name for name in scores if name != "loss"), "loss")
        sign = -1.0 if metric == "loss" else 1.0
        value = self.run.ranks.agreed(sign * scores[metric] if scores else 0.0)
        is_best = self.state.best is None or value > self.state.best
        if is_best and self.run.ranks.is_first and self.run.keep_best is not None:
            self.run.keep_best()
        self.state = replace(
            self.state,
            best=value if is_best else self.state.best,
            best_step=self.state.step if is_best else self.state.best_step,
            worse=0 if is_best else self.state.worse + 1,
        )
        self.run.ranks.wait()
        epoch = self.state.epoch + self.state.batch / max(self.per_epoch, 1)
        return Evaluated(self.state.step, epoch, scores, is_best, time.perf_counter() - began)

    def _reason_to_stop(self, is_last: bool) -> str:
        if is_last:
            return "it is complete"
        if self._is_worse_too_often():
            return f"{self.state.worse} evaluations in a row brought nothing better"
        if self.run.ranks.agreed(float(self.run.should_stop())):
            return ASKED_TO_STOP
        return ""

    def _is_worse_too_often(self) -> bool:
        return bool(self.config.patience) and self.state.worse >= self.config.patience

    def _is_time_to_save(self, stop: str) -> bool:
        if self.run.snapshots is None:
            return False
        every, minutes = self.config.snapshot_steps, self.config.snapshot_minutes
        is_due = bool(every) and self.state.step % every == 0
        waited = time.monotonic() - self.last_save
        is_late = bool(minutes) and waited >= 60 * minutes
        return bool(self.run.ranks.agreed(float(is_due or is_late or bool(stop))))

    def _save(self) -> Saved:
        began = time.perf_counter()
        if self.run.ranks.is_first and self.run.snapshots is not None:
            weights = {name: p.detach() for name, p in self.run.model.named_parameters()}
            moments = moments_of(self.optimizer, self.names)
            mean = self.mean.tensors
            self.last_path = self.run.snapshots.write(self.state, weights, moments, mean)
        self.run.ranks.wait()
        self.last_save = time.monotonic()
        path = self.last_path or Path()
        return Saved(self.state.step, path, time.perf_counter() - began)

    def _restore(self, start: Snapshot) -> None:
        self.state = start.state
        with torch.no_grad():
            for name, parameter in self.run.model.named_parameters():
                parameter.copy_(start.weights[name])
        restore_moments(self.optimizer, self.names, start.moments)
        self.scale.restore(start.state.loss_scale, start.state.scale_growth)
        self.mean.restore(start.mean, start.state.averaged, self.run.model)
