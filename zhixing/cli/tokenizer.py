"""zhixing tokenizer: learn a vocabulary, show tokens."""

from typing import Annotated

import typer
from rich.table import Table as RichTable

from zhixing.checkpoints.builtin import locate
from zhixing.cli.options import AsJson, Data, Out, Overwrite, TextColumn
from zhixing.cli.printing import console, print_json
from zhixing.errors import ConfigError
from zhixing.tokenization.files import load_tokenizer
from zhixing.tokenization.training import Kind
from zhixing.workflows.tokenizer import learn_vocabulary

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def tokenizer() -> None:
    """Learn a vocabulary, or show how a text is cut into tokens."""


@app.command()
def train(
    data: Data,
    out: Out,
    kind: Annotated[Kind, typer.Option(help="wordpiece, byte_bpe or unigram.")] = "wordpiece",
    size: Annotated[int, typer.Option(help="How many pieces at most.")] = 8000,
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Read without case.")] = False,
    min_frequency: Annotated[int, typer.Option(help="How often a piece has to occur.")] = 2,
    text: TextColumn = None,
    overwrite: Overwrite = False,
) -> None:
    """Learn a vocabulary from your texts."""
    learned = learn_vocabulary(
        data,
        out=out,
        kind=kind,
        vocab_size=size,
        lowercase=lowercase,
        min_frequency=min_frequency,
        text=text,
        overwrite=overwrite,
    )
    console.print(f"{learned.vocab_size:,} pieces in {out}")


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="A model or tokenizer folder, or a built-in name.")],
    text: Annotated[str, typer.Argument(help="The text to cut.")],
    as_json: AsJson = False,
) -> None:
    """Show each token of a text: its id, its piece, and the characters it stands for."""
    if not text:
        raise ConfigError("the text is empty; give one, in quotes")
    tokens = load_tokenizer(locate(model)).tokens(text)
    if as_json:
        rows = zip(tokens.ids, tokens.pieces, tokens.offsets, strict=True)
        print_json([{"id": i, "piece": p, "start": o[0], "end": o[1]} for i, p, o in rows])
        return
    table = RichTable(box=None, pad_edge=False)
    for name in ("id", "piece", "characters", "text"):
        table.add_column(name)
    for token_id, piece, (start, end) in zip(
        tokens.ids, tokens.pieces, tokens.offsets, strict=True
    ):
        table.add_row(str(token_id), piece, f"{start}-{end}", repr(text[start:end])[1:-1])
    console.print(table, soft_wrap=False)
