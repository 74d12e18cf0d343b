"""zhixing classify: labels for texts."""

import sys
from typing import Annotated

import typer

from zhixing.cli.options import (
    AsJson,
    Device,
    Overwrite,
    PairColumn,
    Precision,
    TextColumn,
    Threads,
)
from zhixing.cli.printing import console, print_json, progress_bar
from zhixing.data.table import Columns
from zhixing.errors import ConfigError
from zhixing.tasks.classification import Classification
from zhixing.tasks.classifier import ClassifyOptions
from zhixing.workflows.load import load_classifier
from zhixing.workflows.predict import classify_file

app = typer.Typer(add_completion=False)


@app.command()
def classify(
    model: Annotated[str, typer.Argument(help="A model folder.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.")] = None,
    input: Annotated[
        str | None, typer.Option(help="A file of texts, of any size, or - for standard input.")
    ] = None,
    output: Annotated[str, typer.Option(help="A .jsonl file, or - for standard output.")] = "-",
    top_k: Annotated[int, typer.Option(help="How many labels to show; 0 for all.")] = 0,
    threshold: Annotated[float, typer.Option(help="Give no label below this probability.")] = 0.0,
    text: TextColumn = None,
    pair: PairColumn = None,
    precision: Precision = "float32",
    device: Device = "cpu",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Give labels to texts of any length, or to every row of a file of any size."""
    if bool(texts) == bool(input):
        raise ConfigError("give either texts, or --input FILE; one of the two")
    if texts and (output != "-" or text or pair):
        raise ConfigError("--output, --text and --pair belong to --input FILE; drop them")
    options = ClassifyOptions(top_k=top_k, threshold=threshold)
    pipeline = load_classifier(model, precision=precision, device=device, threads=threads)
    if input is None:
        results = pipeline(list(texts or []), options=options)
        if as_json:
            print_json([result.to_dict() for result in results])
            return
        for words, result in zip(texts or [], results, strict=True):
            _print(words, result)
        return
    with progress_bar() as progress:
        bar = progress.add_task("classifying", total=None, words="")

        def show(rows: int) -> None:
            progress.update(bar, words=f"{rows:,} rows")

        rows = classify_file(
            pipeline,
            input,
            output,
            options=options,
            columns=Columns(text=text, pair=pair),
            overwrite=overwrite,
            progress=show if sys.stderr.isatty() else None,
        )
    if output == "-":
        return
    if as_json:
        print_json({"rows": rows, "output": output})
        return
    console.print(f"{rows:,} rows in {output}")


def _print(words: str, result: Classification) -> None:
    shown = " ".join(words.split())
    shown = shown if len(shown) <= 72 else shown[:71] + "…"
    label = ", ".join(result.labels) or "—"
    ranked = sorted(result.scores.items(), key=lambda pair: -pair[1])[:3]
    rest = "  ".join(f"{name} {score:.3f}" for name, score in ranked)
    console.print(label, style="bold", end="")
    console.print(f"  {result.score:.3f}  {shown}")
    if len(result.scores) > 1:
        console.print(f"    {rest}", style="dim")
    if result.coverage.read < result.coverage.total:
        console.print(f"    {result.coverage.read} of {result.coverage.total} tokens read")
