"""zhixing train: labelled rows to a model."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from zhixing.checkpoints.files import check_free_to_write
from zhixing.cli.options import (
    ROWS,
    AsJson,
    Device,
    LabelColumn,
    Overwrite,
    PairColumn,
    TargetColumn,
    TextColumn,
    Threads,
    WeightColumn,
)
from zhixing.cli.printing import print_json
from zhixing.cli.settings import complete_setting, complete_task, print_settings
from zhixing.cli.watching import Watcher, end_stopped, print_finished
from zhixing.config import flattened, parse_pairs, read_recipe
from zhixing.errors import ConfigError
from zhixing.jobs.registry import JOBS
from zhixing.tasks.inference import use_threads
from zhixing.workflows.folds import cross_validate
from zhixing.workflows.train import train as train_model

app = typer.Typer(add_completion=False)
Given = TypeVar("Given")
LEARNED = f"What to learn: {', '.join(JOBS)}."


@app.command()
def train(
    task: Annotated[str, typer.Argument(help=LEARNED, autocompletion=complete_task)],
    data: Annotated[str | None, typer.Option(help=ROWS)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; it must not exist yet.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="key=value, for instance epochs=4 class_weights=balanced.",
            autocompletion=complete_setting,
        ),
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="Rows to score on; a tenth of --data if not given.")
    ] = None,
    model: Annotated[
        str, typer.Option(help='Folder or built-in name; "new" to learn from nothing.')
    ] = "minilm",
    text: TextColumn = None,
    pair: PairColumn = None,
    label: LabelColumn = None,
    target: TargetColumn = None,
    weight: WeightColumn = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    folds: Annotated[int, typer.Option(help="Cross-validate so many times first.")] = 0,
    device: Device = "cpu",
    threads: Threads = 0,
    overwrite: Overwrite = False,
    lists_settings: Annotated[
        bool, typer.Option("--settings", help="List every setting that the task obeys, and end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train a model on rows with targets: a model folder, its scores and a report.

    Every setting has a name; `zhixing train classify --data reviews.csv --out runs/reviews
    epochs=4 learning_rate=1e-4` sets two of them, `zhixing train classify --settings` lists all. A
    kill at any moment costs nothing: zhixing resume.
    """
    if lists_settings:
        print_settings(task, model)
        return
    data, out = _given("--data", data), _given("--out", out)
    columns = _columns(text=text, pair=pair, label=label, target=target, weight=weight)
    values = read_recipe(recipe) if recipe else {}
    values |= parse_pairs([*columns, *(settings or [])])
    alike: dict[str, Any] = {"model": model, "device": device}
    spread = None
    with Watcher(is_quiet=as_json) as watcher:
        alike |= {"watch": watcher, "should_stop": watcher.should_stop}
        if folds:
            check_free_to_write(out, overwrite=overwrite)
            _refuse_standard_input(data)
            use_threads(threads)
            spread = cross_validate(task, data, num_folds=folds, settings=values, **alike)
            watcher(f"{folds} folds: {spread.sentence()}")
        alike |= {"validation": validation, "threads": threads, "overwrite": overwrite}
        # A section such as [data] of a recipe would be taken for an argument of the same name.
        finished = train_model(task, data=data, out=out, **alike, **flattened(values))
    if finished is None:
        end_stopped(out, is_stopped=watcher.is_stopped)
    elif as_json:
        print_json(finished.to_dict() | ({} if spread is None else {"folds": asdict(spread)}))
    else:
        print_finished(finished)


def _given(option: str, value: Given | None) -> Given:
    if value is None:
        raise ConfigError(f"Missing option '{option}'; see zhixing train --help")
    return value


def _columns(**named: str | None) -> list[str]:
    return [f"{role}={column}" for role, column in named.items() if column is not None]


def _refuse_standard_input(data: str) -> None:
    if data == "-":
        raise ConfigError(
            "--folds reads the rows again for the training that follows, which standard input "
            "does not allow; save it to a file first"
        )
