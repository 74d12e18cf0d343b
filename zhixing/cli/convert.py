"""zhixing convert: an old model folder into one that loads safely."""

from pathlib import Path
from typing import Annotated

import typer

from zhixing.checkpoints.convert import convert as convert_folder
from zhixing.cli.options import Out, Overwrite
from zhixing.cli.printing import console

app = typer.Typer(add_completion=False)


@app.command()
def convert(
    old: Annotated[Path, typer.Argument(help="A folder with a pytorch_model.bin.")],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Write a model folder again with its weights as safetensors, which hold no code."""
    done = convert_folder(old, out, overwrite=overwrite)
    console.print(f"{done.folder}: {done.model_type}, {done.parameters:,} parameters")
