"""How results look in a terminal."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from zhixing.jobs.report import Line

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


def print_lines(lines: Sequence[Line]) -> None:
    """Print lines with their styles; a note goes to standard error, beside the answers."""
    for text, style in lines:
        if style == "note":
            notices.print(text, style="dim")
        else:
            console.print(text, style=style or None)
