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
from zhixing.cli.printing import console, print_json
from zhixing.data.table import Columns
from zhixing.workflows.quantize import QuantizationReport, TextQuantizationReport, quantize_model

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
    if isinstance(report, TextQuantizationReport):
        _print_texts(report)
    else:
        _print_labels(report)
    console.print(
        f"weights {report.bytes_before / 2**20:.1f} MiB before, "
        f"{report.bytes_after / 2**20:.1f} MiB after"
    )
    console.print(f"model   {out}")


def _print_texts(report: TextQuantizationReport) -> None:
    console.print(f"{report.rows:,} rows: the same text about {report.same_text:.2%}")
    for name, before, after in (
        ("BLEU", report.bleu_before, report.bleu_after),
        ("chrF", report.chrf_before, report.chrf_after),
    ):
        if before is not None and after is not None:
            console.print(f"{name} {before:.2f} before, {after:.2f} after")


def _print_labels(report: QuantizationReport) -> None:
    console.print(
        f"{report.rows:,} rows: the same label on {report.same_label:.2%}; probabilities moved by "
        f"{report.mean_shift:.4f} on average, {report.largest_shift:.4f} at most"
    )
    if report.accuracy_before is not None and report.accuracy_after is not None:
        console.print(
            f"accuracy {report.accuracy_before:.4f} before, {report.accuracy_after:.4f} after"
        )
