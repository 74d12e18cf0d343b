"""zhixing demo: the whole way on built-in data."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from zhixing.cli.options import Overwrite
from zhixing.cli.printing import console, print_lines
from zhixing.cli.watching import Watcher
from zhixing.jobs.registry import JOBS, learn_of, use_of
from zhixing.workflows.demo import Played, demonstrate

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo"),
    overwrite: Overwrite = False,
) -> None:
    """Train, prove and use a model on built-in support messages, without a network."""
    acts = [act for name in JOBS if (act := learn_of(name).act) is not None]
    for act in acts:
        if act.data is not None:
            console.print(act.says)
    with Watcher() as watcher:
        played = demonstrate(
            out, overwrite=overwrite, watch=watcher, should_stop=watcher.should_stop
        )
    if played is None:
        console.print("stopped")
        sys.exit(130)
    for each in played:
        _show(each)
    console.print("\nLook", style="bold")
    console.print(f"training report    {out / 'report.html'}")
    console.print(f"held-out report    {out / 'test.html'}")
    for each in played:
        if each.page is not None:
            console.print(f"attention picture  {each.page}")
    console.print("\nType next", style="bold")
    for each in played:
        model = out if each.finished is not None else each.act.model
        console.print(f'zhixing {each.task} {model} "{each.act.next_text}"')
    trained = next(each.task for each in played if each.finished is not None)
    console.print(f"zhixing train {trained} --data your.csv --out runs/yours")


def _show(played: Played) -> None:
    """Print what a model scored on rows it never saw, and what it says of fresh texts."""
    if played.report is not None:
        console.print(f"\nOn {played.report.rows} held-out messages", style="bold")
        print_lines(played.report.lines())
    console.print(f"\n{played.act.title}", style="bold")
    use = use_of(played.task)
    for text, result in played.asked:
        print_lines(use.brief(text, result))
