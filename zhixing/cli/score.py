"""zhixing score: how likely a translator holds translations that are given."""

from typing import Annotated

import typer

from zhixing.cli.options import (
    AsJson,
    Data,
    Device,
    Overwrite,
    Precision,
    TargetColumn,
    TextColumn,
    Threads,
)
from zhixing.cli.printing import console, print_json
from zhixing.data.roles import Columns
from zhixing.jobs.translate.score_files import score_file
from zhixing.workflows.load import load_for

app = typer.Typer(add_completion=False)


@app.command()
def score(
    model: Annotated[str, typer.Argument(help="A model that writes.")],
    data: Data,
    output: Annotated[str, typer.Option(help="A .jsonl file, or - for standard output.")] = "-",
    align: Annotated[
        bool, typer.Option("--align", help="Also say which words go together.")
    ] = False,
    text: TextColumn = None,
    target: TargetColumn = None,
    precision: Precision = "auto",
    device: Device = "cpu",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Tell how likely a model holds each target for its source, token by token.

    Pairs that it holds very unlikely are often misaligned or wrong.
    """
    translator = load_for("translate", model, precision=precision, device=device, threads=threads)
    scored = score_file(
        translator,
        data,
        output,
        columns=Columns(text=text, target=target),
        aligns=align,
        overwrite=overwrite,
    )
    if output == "-":
        return
    if as_json:
        print_json({"rows": scored.rows, "mean": scored.mean, "lowest": scored.lowest})
        return
    console.print(f"{scored.rows:,} pairs in {output}; {scored.mean:.3f} a token")
    lowest = ", ".join(f"{row} ({value:.2f})" for row, value in scored.lowest)
    console.print(f"least likely: rows {lowest}")
