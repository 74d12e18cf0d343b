"""zhixing TASK MODEL: one command for every task, its options read off the job's own."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, get_origin, get_type_hints

import typer

from zhixing.cli.options import AsJson, Device, Overwrite, Precision, TextColumn, Threads
from zhixing.cli.printing import console, print_json, print_lines, progress_bar
from zhixing.data.roles import Columns
from zhixing.errors import ConfigError
from zhixing.jobs.registry import JOBS, use_of
from zhixing.jobs.use import Use
from zhixing.workflows.load import load_for
from zhixing.workflows.predict import predict_file

Input = Annotated[
    str | None, typer.Option(help="A file of texts, of any size, or - for standard input.")
]
SecondText = Annotated[
    str | None, typer.Option("--pair", help="A second text; with --input, the column of them.")
]
COLUMNS = {"text": TextColumn, "pair": SecondText}

# How a command opens its model and answers texts in its own way: given the opened model, the
# texts, the options, and what was typed; None where it answers as all do.
Answer = Callable[[Any, list[str], Any, Mapping[str, Any]], bool]


def app_for(
    task: str,
    *,
    more: Sequence[inspect.Parameter] = (),
    opened: Callable[[Any, Mapping[str, Any]], None] | None = None,
    answered: Answer | None = None,
) -> typer.Typer:
    """Make the command of a task.

    Args:
        task: Its name.
        more: Options of this command alone.
        opened: Is given the opened model and what was typed.
        answered: Answers texts another way, if it gives true.
    """
    use = use_of(task)

    def run(**typed: Any) -> None:
        texts, input, output = list(typed["texts"] or []), typed["input"], typed["output"]
        if bool(texts) == bool(input):
            raise ConfigError("give either texts, or --input FILE; one of the two")
        columns = Columns(**{role: typed[role] for role in COLUMNS if role in typed})
        if texts and (output != "-" or "text" in columns):
            raise ConfigError("--output and --text belong to --input FILE; drop them")
        if len(texts) > 1 and "pair" in columns:
            raise ConfigError("--pair is the second text of one text; give --input FILE for more")
        options = _options(use, typed)
        compute = {name: typed[name] for name in ("precision", "device", "threads")}
        model = load_for(task, typed["model"], **compute)
        if opened is not None:
            opened(model, typed)
        if input is None:
            if answered is None or not answered(model, texts, options, typed):
                seconds = [[typed["pair"]]] if "pair" in columns else []
                results = model(texts, *seconds, options=options)
                _print_results(use, texts, results, as_json=typed["as_json"])
            return
        _answer_file(model, input, output, options, columns, typed)

    run.__doc__ = JOBS[task].help
    run.__name__ = task
    _give_signature(run, [*_parameters(use), *more])
    app = typer.Typer(add_completion=False)
    app.command()(run)
    return app


def _parameters(use: Use) -> list[inspect.Parameter]:
    """List what the command of a task takes."""
    kinds = ", ".join(use.kinds)
    output = Annotated[str, typer.Option(help=f"A file ({kinds}), or - for standard output.")]
    taken: dict[str, tuple[Any, Any]] = {
        "model": (Annotated[str, typer.Argument(help="A model folder.")], ...),
        "texts": (Annotated[list[str] | None, typer.Argument(help="Texts.")], None),
        "input": (Input, None),
        "output": (output, "-"),
    }
    hints = get_type_hints(use.options)
    for each in fields(use.options):
        if "help" in each.metadata:
            is_mapping = get_origin(hints[each.name]) in (Mapping, dict)
            hint: Any = list[str] | None if is_mapping else hints[each.name]
            name = each.metadata["flag"] or each.name
            told: Any = Annotated[hint, _declared(name, each.metadata["help"])]
            taken[name] = (told, None if is_mapping else each.default)
    taken |= {role.name: (COLUMNS[role.name], None) for role in use.asked if role.name in COLUMNS}
    taken |= {
        "precision": (Precision, use.precision),
        "device": (Device, "cpu"),
        "threads": (Threads, 0),
        "overwrite": (Overwrite, False),
        "as_json": (AsJson, False),
    }
    return [parameter(name, hint, default) for name, (hint, default) in taken.items()]


def parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    """Describe a parameter of a command; no default (...) makes it required."""
    default = inspect.Parameter.empty if default is ... else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _declared(name: str, text: str) -> Any:
    flag = f"--{name.replace('_', '-')}"
    return typer.Option(flag, help=text)


def _give_signature(function: Any, parameters: Sequence[inspect.Parameter]) -> None:
    """Let a function that takes anything be read as one that takes these parameters."""
    required = [p for p in parameters if p.default is inspect.Parameter.empty]
    others = [p for p in parameters if p.default is not inspect.Parameter.empty]
    function.__signature__ = inspect.Signature([*required, *others])
    function.__annotations__ = {p.name: p.annotation for p in parameters}


def _options(use: Use, typed: Mapping[str, Any]) -> Any:
    """Make the options of a task from what was typed."""
    values: dict[str, Any] = {}
    for each in fields(use.options):
        if "help" not in each.metadata:
            continue
        value = typed[each.metadata["flag"] or each.name]
        if get_origin(get_type_hints(use.options)[each.name]) in (Mapping, dict):
            value = _pairs(each.metadata["flag"] or each.name, value or [])
        values[each.name] = value
    return use.options(**values)


def _pairs(flag: str, words: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not key.strip():
            raise ConfigError(f"--{flag} is {word!r}; write word=translation, or a word to be kept")
        pairs[key.strip()] = value.strip() if sign else key.strip()
    return pairs


def _print_results(use: Use, texts: list[str], results: Sequence[Any], *, as_json: bool) -> None:
    if as_json:
        print_json([result.to_dict() for result in results])
        return
    for text, result in zip(texts, results, strict=True):
        print_lines(use.lines(text, result))


def _answer_file(
    model: Any,
    input: str,
    output: str,
    options: Any,
    columns: Columns,
    typed: Mapping[str, Any],
) -> None:
    with progress_bar() as progress:
        bar = progress.add_task("rows", total=None, words="")

        def show(rows: int) -> None:
            progress.update(bar, completed=rows, words=f"{rows:,} rows")

        rows = predict_file(
            model,
            input,
            output,
            options=options,
            columns=columns,
            overwrite=typed["overwrite"],
            progress=show if sys.stderr.isatty() else None,
        )
    if output == "-":
        return
    if typed["as_json"]:
        print_json({"rows": rows, "output": output})
        return
    console.print(f"{rows:,} rows in {output}")
