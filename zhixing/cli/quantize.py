"""zhixing quantize: an int8 twin of a model."""

from typing import Annotated

import typer

from zhixing.cli.options import (
    AsJson,
    Data,
    LabelColumn,
    Out,
    Overwrite,
    PairColumn,
    TargetColumn,
    TextColumn,
    Threads,
)
from zhixing.cli.printing import console, print_json, print_lines
from zhixing.data.roles import Columns
from zhixing.workflows.quantize import quantize_model

app = typer.Typer(add_completion=False)


@app.command()
def quantize(
    model: Annotated[str, typer.Argument(help="A trained model folder.")],
    data: Data,
    out: Out,
    text: TextColumn = None,
    pair: PairColumn = None,
    label: LabelColumn = None,
    target: TargetColumn = None,
    threads: Threads = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Save an int8 twin of a model, with a report of how far its answers moved on your rows."""
    report = quantize_model(
        model,
        data,
        out=out,
        columns=Columns(text=text, pair=pair, label=label, target=target),
        threads=threads,
        overwrite=overwrite,
    )
    if as_json:
        print_json(report.to_dict())
        return
    print_lines(report.lines())
    console.print(f"model   {out}")
