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
    console.print("\nOn 240 held-out messages", style="bold")
    print_scores(done.report, done.baseline)
    console.print("\nFresh messages", style="bold")
    for text, result in done.messages:
        console.print(f"{result.label:<20}", style="bold", end="")
        console.print(f" {result.score:.2f}  {text}")
    console.print("\nA letter in French, by the built-in en-fr", style="bold")
    for pair in done.translation.sentences:
        console.print(f"{pair.source}", style="dim")
        console.print(f"  {pair.text}", highlight=False)
    console.print("\nLook", style="bold")
    console.print(f"training report    {out / 'report.html'}")
    console.print(f"held-out report    {out / 'test.html'}")
    console.print(f"attention picture  {done.page}")
    console.print("\nType next", style="bold")
    console.print(f'zhixing classify {out} "my parcel says delivered but there is nothing here"')
    console.print('zhixing translate en-fr "This is an example sentence."')
    console.print("zhixing train classify --data your.csv --out runs/yours")
