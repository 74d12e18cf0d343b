"""zhixing shortlist: which tokens may be needed to translate which."""

from dataclasses import asdict
from typing import Annotated

import typer

from zhixing.cli.options import AsJson, Data, Overwrite, TargetColumn, TextColumn
from zhixing.cli.printing import console, print_json
from zhixing.data.roles import Columns
from zhixing.jobs.translate.learn_shortlist import learn_shortlist
from zhixing.workflows.load import load_for

app = typer.Typer(add_completion=False)


@app.command()
def shortlist(
    model: Annotated[str, typer.Argument(help="A model that writes.")],
    data: Data,
    out: Annotated[str, typer.Option(help="The file to write.")],
    count: Annotated[int, typer.Option(help="Tokens for each one that is read.")] = 50,
    always: Annotated[int, typer.Option(help="Most frequent tokens, always allowed.")] = 200,
    text: TextColumn = None,
    target: TargetColumn = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Learn from pairs which tokens may be needed to translate which.

    A translator with a shortlist scores only these, which is faster where the vocabulary is large;
    what the list lacks it cannot write.
    """
    report = learn_shortlist(
        load_for("translate", model),
        data,
        out,
        columns=Columns(text=text, target=target),
        count=count,
        always=always,
        overwrite=overwrite,
    )
    if as_json:
        print_json(asdict(report))
        return
    console.print(
        f"{report.pairs:,} pairs in {out}: a sentence is written with {report.tokens:,.0f} of "
        f"{report.vocabulary:,} tokens"
    )
    if report.held_out:
        console.print(
            f"{report.recall:.2%} of the tokens of {report.held_out:,} pairs set aside were listed"
        )
