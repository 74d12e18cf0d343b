"""A training as a person watches it: a progress line, evaluations, and an orderly end."""

import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from rich.progress import Progress, TaskID

from zhixing.cli.printing import console, notices, print_lines, progress_bar
from zhixing.training.events import Ended, Evaluated, Event, Saved, Stepped
from zhixing.workflows.finishing import Finished

# Where nothing can be drawn over, in a log file for instance, a line so often says how far it is.
SECONDS_A_LINE = 30.0

# All of an evaluation's scores stand in metrics.jsonl.
SCORES_A_LINE = 4


class Watcher:
    """Render a run's events; used as a context, it also listens for Ctrl-C.

    The first Ctrl-C asks the run to stop after the step, with a snapshot; the second stops it at
    once.
    """

    def __init__(self, *, is_quiet: bool = False) -> None:
        self.is_quiet = is_quiet
        self.progress: Progress = progress_bar()
        self.bar: TaskID | None = None
        self.is_stopped = False
        self.step_rates: list[float] = []
        self.last_line = time.monotonic()

    def __enter__(self) -> "Watcher":
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        if not self.is_quiet:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_stopped:
            raise KeyboardInterrupt
        self.is_stopped = True
        notices.print("stopping after this step, with a snapshot; press again to stop at once")

    def should_stop(self) -> bool:
        """Tell the loop whether it was asked to stop."""
        return self.is_stopped

    def __call__(self, event: Event | str) -> None:
        """Show an event."""
        if self.is_quiet:
            return
        if isinstance(event, str):
            self._say(event)
        elif isinstance(event, Stepped):
            self._show_step(event)
        elif isinstance(event, Evaluated):
            shown = list(event.scores.items())[:SCORES_A_LINE]
            scores = ", ".join(f"{name} {value:.4f}" for name, value in shown)
            mark = "  (best so far)" if event.is_best else ""
            self._say(f"epoch {event.epoch:.2f}: validation {scores}{mark}")
        elif isinstance(event, Saved):
            self._say(f"snapshot after step {event.step}")
        elif isinstance(event, Ended):
            self._say(f"training ended at step {event.step}: {event.reason}")

    def _say(self, sentence: str) -> None:
        self.progress.console.print(sentence)

    def _show_step(self, event: Stepped) -> None:
        if self.bar is None:
            self.bar = self.progress.add_task("training", total=event.total, words="")
        self.step_rates = [*self.step_rates[-19:], event.tokens / max(event.seconds, 1e-9)]
        speed = sum(self.step_rates) / len(self.step_rates)
        words = f"step {event.step}/{event.total}  loss {event.loss:.4f}  {speed:,.0f} tokens/s"
        self.progress.update(self.bar, completed=event.step, words=words)
        if self.progress.disable and time.monotonic() - self.last_line > SECONDS_A_LINE:
            self.last_line = time.monotonic()
            self._say(words)


def print_finished(finished: Finished) -> None:
    """Print what a run came to, and what to type next."""
    speed = finished.tokens / max(finished.seconds, 1e-9)
    console.print(
        f"{finished.steps:,} steps, {finished.tokens:,} tokens in {finished.seconds:.0f} s "
        f"({speed:,.0f} tokens/s); the kept weights are those of step {finished.best_step:,}"
    )
    for name, report in finished.reports.items():
        if report is not finished.report:
            console.print(f"scores on the {name}", style="bold")
        print_lines(report.lines())
    console.print(f"model   {finished.folder}")
    console.print(f"report  {finished.folder / 'report.html'}")
    words = shlex.join(["zhixing", finished.task, str(finished.folder)])
    console.print(f"next    {words} {finished.next_words}")


def end_stopped(folder: Path, *, is_stopped: bool) -> None:
    """End with status 130 where a person stopped the run; other ranks end quietly."""
    if is_stopped:
        console.print(
            f"stopped; go on with: zhixing resume {shlex.quote(str(folder))}", soft_wrap=True
        )
        sys.exit(130)
