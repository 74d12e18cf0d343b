"""How results look in a terminal."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable
from rich.text import Text

from zhixing.evaluation.bag_of_words import Baseline
from zhixing.jobs.classify.report import ClassificationReport
from zhixing.jobs.sequence_to_sequence.report import TextReport

MOST_CLASSES = 30

# What is printed holds a person's own texts, labels and paths: nothing in them is markup, no
# colon pair an emoji, and no line is broken in a way that copying would keep.
console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
notices = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)


def print_json(values: Mapping[str, Any] | list[Any]) -> None:
    """Print values as JSON, one document."""
    sys.stdout.write(json.dumps(values, ensure_ascii=False, indent=2) + "\n")


def progress_bar() -> Progress:
    """Make a bar on standard error, with room for a few words and the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(),
        console=notices,
        transient=True,
        disable=not notices.is_terminal,
    )


def print_scores(report: ClassificationReport, baseline: Baseline | None = None) -> None:
    """Print the scores with their intervals, beside the baselines."""
    table = RichTable(show_header=True, box=None, pad_edge=False)
    for name in ("", "score", "95 % interval"):
        table.add_column(name, justify="left" if not name else "right")
    for name, claim in report.scores.items():
        interval = f"{claim.interval.low:.3f} to {claim.interval.high:.3f}"
        table.add_row(name.replace("_", " "), Text(f"{claim.value:.3f}", "bold"), interval)
    if baseline is not None:
        table.add_row(f"bag of {baseline.unit}", f"{baseline.accuracy:.3f}", "")
    if report.majority is not None:
        table.add_row("most frequent label", f"{report.majority:.3f}", "")
    console.print(table, soft_wrap=False)
    if baseline is not None:
        gain = baseline.gain
        console.print(
            f"{100 * gain.difference:+.1f} points against the bag of {baseline.unit} "
            f"({100 * gain.interval.low:+.1f} to {100 * gain.interval.high:+.1f})"
        )
    console.print(
        f"calibration error {report.calibration_error:.3f} at temperature "
        f"{report.temperature:.2f}; {report.tokens_read:,} of {report.tokens_given:,} tokens read"
    )
    console.print(report.signature, style="dim")


def print_text_scores(report: TextReport) -> None:
    """Print the scores of written texts with their intervals."""
    for name, claim in report.scores.items():
        interval = f"{claim.interval.low:.1f} to {claim.interval.high:.1f}"
        console.print(f"{name:<8}{claim.value:6.1f}  {interval}")
    console.print(
        f"TER {report.error_rate:.1f}; length {report.length_ratio:.0%} of the references'; "
        f"{report.cut} of {report.rows} texts cut"
    )
    for one in report.against:
        told = f"against {one.other:.1f} (p = {one.p_value:.3f})"
        console.print(f"{one.metric:<8}{one.difference:+6.1f}  {told}")
    console.print(report.bleu_signature, style="dim")
    console.print(report.signature, style="dim")


def print_classes(report: ClassificationReport) -> None:
    """Print precision, recall and F1 of each class, the weakest first."""
    table = RichTable(box=None, pad_edge=False)
    table.add_column("label")
    for name in ("precision", "recall", "F1", "rows"):
        table.add_column(name, justify="right")
    weakest = sorted(report.classes.items(), key=lambda pair: pair[1].f1)
    for label, score in weakest[:MOST_CLASSES]:
        numbers = (f"{value:.3f}" for value in (score.precision, score.recall, score.f1))
        table.add_row(label, *numbers, str(score.support))
    console.print(table, soft_wrap=False)
    if len(weakest) > MOST_CLASSES:
        console.print(f"the {MOST_CLASSES} weakest of {len(weakest)} classes; --out keeps them all")
