"""zhixing resume: go on where a training stopped."""

from pathlib import Path
from typing import Annotated

import typer

from zhixing.cli.watching import Watcher, end_stopped, print_finished
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
        end_stopped(folder, is_stopped=watcher.is_stopped)
    else:
        print_finished(finished)
