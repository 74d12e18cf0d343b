"""Command-line options that several commands share, said once."""

from pathlib import Path
from typing import Annotated

import typer

from zhixing.tasks.inference import Precision as PrecisionName

ROWS = "CSV, TSV, JSONL, Parquet or text; a pattern; or - for standard input."
Data = Annotated[str, typer.Option("--data", help=ROWS)]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:N or mps.")]
Threads = Annotated[int, typer.Option(help="For computing; 0 for what torch chooses.")]
Precision = Annotated[PrecisionName, typer.Option(help="auto, float32, bfloat16, float16 or int8.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
OUT = "Folder to write; it must not exist yet."
Out = Annotated[Path, typer.Option("--out", help=OUT)]
TextColumn = Annotated[str | None, typer.Option("--text", help="Column of the texts.")]
PairColumn = Annotated[str | None, typer.Option("--pair", help="Column of second texts.")]
TargetColumn = Annotated[
    str | None, typer.Option("--target", help="Column of what is to be written.")
]
WeightColumn = Annotated[
    str | None, typer.Option("--weight", help="Column that says how much a row counts.")
]
LabelColumn = Annotated[str | None, typer.Option("--label", help="Column of the labels.")]
