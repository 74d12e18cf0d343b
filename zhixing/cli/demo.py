"""zhixing demo: the whole way on built-in data."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from zhixing.cli.options import Overwrite
from zhixing.cli.printing import console, print_scores
from zhixing.cli.watching import Watcher
from zhixing.workflows.demo import demonstrate

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo"),
    overwrite: Overwrite = False,
) -> None:
    """Train, prove and use a model on built-in support messages, without a network."""
    console.print(
        "Fine-tuning minilm to tell twelve intents of customer messages apart, on this machine."
    )
    with Watcher() as watcher:
        done = demonstrate(out, overwrite=overwrite, watch=watcher, should_stop=watcher.should_stop)
    if done is None:
        console.print("stopped")
        sys.exit(130)
    console.print("\n[bold]On 240 held-out messages[/bold]")
    print_scores(done.report, done.baseline)
    console.print("\n[bold]Fresh messages[/bold]")
    for text, result in done.messages:
        console.print(f"[bold]{result.label:<20}[/bold] {result.score:.2f}  ", end="")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print("\n[bold]Look[/bold]")
    console.print(f"training report    {out / 'report.html'}", soft_wrap=True)
    console.print(f"held-out report    {out / 'test.html'}", soft_wrap=True)
    console.print(f"attention picture  {done.page}", soft_wrap=True)
    console.print("\n[bold]Type next[/bold]")
    console.print(f'zhixing classify {out} "my parcel says delivered but there is nothing here"')
    console.print("zhixing train classify --data your.csv --out runs/yours")
