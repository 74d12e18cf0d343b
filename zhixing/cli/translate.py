"""zhixing translate: documents from one language to another."""

import sys
from typing import Annotated

import typer

from zhixing.cli.options import AsJson, Device, Overwrite, Precision, TextColumn, Threads
from zhixing.cli.printing import console, notices, print_json, progress_bar
from zhixing.data.table import Columns
from zhixing.errors import ConfigError
from zhixing.jobs.translate.files import translate_file
from zhixing.tasks.translation.alternatives import variants
from zhixing.tasks.translation.result import TranslateOptions
from zhixing.tasks.translation.translator import Translator
from zhixing.workflows.load import load_translator

app = typer.Typer(add_completion=False)


Beams = Annotated[
    int | None, typer.Option(help="Hypotheses to follow; the model's own number if unsaid.")
]
Best = Annotated[
    int, typer.Option(help="Print several translations of each text, unlike each other.")
]
Coverage = Annotated[
    float, typer.Option(help="Penalty on what a beam's hypotheses pass by of the source.")
]
Input = Annotated[str | None, typer.Option(help="A file, of any size, or - for standard input.")]
Moses = Annotated[
    bool, typer.Option("--moses", help="Make punctuation plain first, by Moses' rules.")
]
Output = Annotated[str, typer.Option(help="A .txt, .tsv or .jsonl file, or - for standard output.")]
Listed = Annotated[
    str | None, typer.Option("--shortlist", help="A file of zhixing shortlist: faster, less free.")
]
Source = Annotated[
    str | None, typer.Option(help="Code of the language read, such as en or eng_Latn.")
]
Target = Annotated[
    str | None, typer.Option(help="Code of the language to write, such as fr or >>fra<<.")
]
Terms = Annotated[
    list[str] | None, typer.Option(help='What a word becomes, "word=translation"; repeatable.')
]


@app.command()
def translate(
    model: Annotated[str, typer.Argument(help="A model folder.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to translate.")] = None,
    input: Input = None,
    output: Output = "-",
    beams: Beams = None,
    best: Best = 1,
    coverage: Coverage = 0.0,
    source_language: Source = None,
    target: Target = None,
    term: Terms = None,
    moses: Moses = False,
    shortlist: Listed = None,
    text: TextColumn = None,
    precision: Precision = "auto",
    device: Device = "cpu",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Translate texts of any length, or a file of any size; killed, it goes on where it was.

    Line breaks, spaces, placeholders such as {name}, tags and addresses stay as they are.
    """
    if bool(texts) == bool(input):
        raise ConfigError("give either texts, or --input FILE; one of the two")
    if texts and (output != "-" or text):
        raise ConfigError("--output and --text belong to --input FILE; drop them")
    if best != 1 and (input or beams or coverage or term):
        raise ConfigError("--best belongs to texts, and chooses beams itself; drop the others")
    options = TranslateOptions(
        num_beams=beams,
        coverage_penalty=coverage,
        source_language=source_language,
        target_code=target,
        terms=_terms(term or []),
        normalizes=moses,
    )
    translator = load_translator(
        model, precision=precision, device=device, threads=threads, shortlist=shortlist
    )
    if input is None:
        show = _print_several if best != 1 else _print_texts
        show(translator, list(texts or []), options, best, as_json)
        return
    rows = _translate_file(translator, input, output, options, Columns(text=text), overwrite)
    if output == "-":
        return
    if as_json:
        print_json({"rows": rows, "output": output})
        return
    console.print(f"{rows:,} rows in {output}")


def _print_texts(
    translator: Translator, texts: list[str], options: TranslateOptions, _: int, as_json: bool
) -> None:
    found = translator(texts, options=options)
    if as_json:
        print_json([one.to_dict() for one in found])
        return
    for one in found:
        console.print(one.text)
        if one.flags:
            notices.print(f"  ({', '.join(one.flags)})", style="dim")


def _print_several(
    translator: Translator, texts: list[str], options: TranslateOptions, count: int, as_json: bool
) -> None:
    found = [variants(translator, text, count=count, options=options) for text in texts]
    if as_json:
        print_json([[one.to_dict() for one in own] for own in found])
        return
    for own in found:
        for one in own:
            console.print(f"{one.score:6.2f}  {one.text}")


def _translate_file(
    translator: Translator,
    data: str,
    output: str,
    options: TranslateOptions,
    columns: Columns,
    overwrite: bool,
) -> int:
    with progress_bar() as progress:
        bar = progress.add_task("translating", total=None, words="")

        def show(rows: int) -> None:
            progress.update(bar, completed=rows, words=f"{rows:,} rows")

        return translate_file(
            translator,
            data,
            output,
            options=options,
            columns=columns,
            overwrite=overwrite,
            progress=show if sys.stderr.isatty() else None,
        )


def _terms(pairs: list[str]) -> dict[str, str]:
    terms = {}
    for pair in pairs:
        word, sign, wanted = pair.partition("=")
        if not word.strip():
            raise ConfigError(f"--term is {pair!r}; write word=translation, or a word to be kept")
        terms[word.strip()] = wanted.strip() if sign else word.strip()
    return terms
