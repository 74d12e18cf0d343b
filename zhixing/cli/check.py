"""zhixing check: what is wrong with a table."""

import sys
from typing import Annotated

import typer

from zhixing.cli.options import AsJson, LabelColumn, PairColumn, TargetColumn, TextColumn
from zhixing.cli.printing import console, print_json
from zhixing.config import override, parse_pairs
from zhixing.data.doctors.labels import Examination
from zhixing.training.recipe import DataChoice
from zhixing.workflows.check import check as examine

app = typer.Typer(add_completion=False)
STYLES = {"error": "red", "warning": "yellow", "note": None}


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="CSV, TSV, JSONL, Parquet or text; or a pattern.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="key=value, for instance multi_label=true.")
    ] = None,
    validation: Annotated[str | None, typer.Option(help="Held-back rows, to find leaks.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Count lengths in this model's tokens, such as minilm.")
    ] = None,
    text: TextColumn = None,
    pair: PairColumn = None,
    label: LabelColumn = None,
    target: TargetColumn = None,
    as_json: AsJson = False,
) -> None:
    """Tell what is wrong with a table: labels, blanks, duplicates, leaks, lengths, encoding.

    A table of sources and targets, or two files such as train.en,train.fr, is examined as pairs for
    a translator: lengths that do not fit, other numbers, the wrong language, lines that slipped.

    The exit status is 2 if there is an error that training would refuse, else 0.
    """
    named = {"text": text, "pair": pair, "label": label, "target": target}
    pairs = [f"{role}={column}" for role, column in named.items() if column is not None]
    choice = override(DataChoice(), parse_pairs([*pairs, *(settings or [])]))
    found = examine(
        data,
        validation=validation,
        model=model,
        columns=choice.columns,
        multi_label=choice.multi_label,
        label_separator=choice.label_separator,
    )
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    if found.has_errors:
        sys.exit(2)


def _print(found: Examination) -> None:
    console.print(f"{found.source}: {found.num_rows:,} rows")
    if found.labels:
        ranked = sorted(found.labels.items(), key=lambda pair: -pair[1])
        named = ", ".join(f"{name} {count:,}" for name, count in ranked[:12])
        more = f" and {len(ranked) - 12} more" if len(ranked) > 12 else ""
        console.print(f"labels: {named}{more}")
    for of, sizes in (("", found.lengths), (" of targets", found.target_lengths)):
        if sizes is not None:
            console.print(
                f"length{of} in {sizes.unit}: {sizes.shortest} to {sizes.longest}, "
                f"median {sizes.median}"
            )
    if not found.findings:
        console.print("nothing is wrong")
    for finding in found.findings:
        console.print(f"{finding.severity:<9}", style=STYLES[finding.severity], end="")
        console.print(finding.message)
        if finding.remedy:
            console.print(f"         {finding.remedy}", style="dim")
