"""zhixing inspect: what a model attends to in one text."""

from pathlib import Path
from typing import Annotated

import typer

from zhixing.checkpoints.files import check_free_file
from zhixing.cli.options import Overwrite
from zhixing.cli.printing import console
from zhixing.workflows.inspect import inspect as draw
from zhixing.workflows.load import load

app = typer.Typer(add_completion=False)


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="A trained model folder.")],
    text: Annotated[str, typer.Argument(help="The text to look at.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("attention.html"),
    pair: Annotated[str | None, typer.Option(help="A second text.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw the attention of every layer and head over one text, as one page."""
    check_free_file(out, overwrite=overwrite)
    draw(load(model), text, out, pair=pair)
    console.print(f"page  {out}")
