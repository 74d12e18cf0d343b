"""zhixing resume: go on where a training stopped."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from zhixing.cli.printing import console
from zhixing.cli.watching import Watcher, print_finished
from zhixing.workflows.train import resume as go_on

app = typer.Typer(add_completion=False)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="The --out folder of a training.")],
) -> None:
    """Go on where a training stopped, to the weights that an unbroken run would have had."""
    with Watcher() as watcher:
        finished = go_on(folder, watch=watcher, should_stop=watcher.should_stop)
    if finished is None:
        if watcher.is_stopped:
            console.print(f"stopped; go on with: zhixing resume {folder}")
            sys.exit(130)
        return
    print_finished(finished)
