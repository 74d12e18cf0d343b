"""zhixing fetch: bring a published model into the cache."""

from functools import partial
from typing import Annotated

import typer

from zhixing.checkpoints.fetch import fetch as bring
from zhixing.cli.options import Overwrite
from zhixing.cli.printing import console, notices

app = typer.Typer(add_completion=False)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A built-in name: minilm.")],
    overwrite: Overwrite = False,
) -> None:
    """Download a model, check its SHA-256 and keep it in the cache; nothing is installed."""
    folder = bring(name, overwrite=overwrite, notice=partial(notices.print, style="dim"))
    console.print(f"{name} is in {folder}")
