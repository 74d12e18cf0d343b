"""zhixing evaluate: a model's scores on labelled rows."""

from pathlib import Path
from typing import Annotated

import typer

from zhixing.cli.options import (
    AsJson,
    Data,
    Device,
    LabelColumn,
    Overwrite,
    PairColumn,
    Precision,
    TargetColumn,
    TextColumn,
    Threads,
)
from zhixing.cli.printing import console, print_json, print_lines
from zhixing.data.roles import Columns
from zhixing.workflows.evaluate import evaluate as score

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A model folder.")],
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="Also keep the report: a .json or an .html file.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Another model that writes, compared on the same rows.")
    ] = None,
    text: TextColumn = None,
    pair: PairColumn = None,
    label: LabelColumn = None,
    target: TargetColumn = None,
    precision: Precision = "float32",
    device: Device = "cpu",
    threads: Threads = 0,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Score a model: each score with a confidence interval, all with one signature."""
    report = score(
        model,
        data,
        out=out,
        against=against,
        columns=Columns(text=text, pair=pair, label=label, target=target),
        precision=precision,
        device=device,
        threads=threads,
        seed=seed,
        overwrite=overwrite,
    )
    if as_json:
        print_json(report.to_dict())
        return
    print_lines(report.lines())
    print_lines(report.detail_lines())
    if out is not None:
        console.print(f"report  {out}")
