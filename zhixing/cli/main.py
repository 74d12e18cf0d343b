"""The command line: the commands' names and one-line helps; each is imported only when it runs."""

import gc
import importlib
import importlib.util
import os
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from zhixing.errors import ZhixingError
from zhixing.jobs.registry import JOBS
from zhixing.version import __version__

COMMANDS = {
    "demo": "Train, prove and use a model on built-in data, offline, in about two minutes.",
    "check": "Tell what is wrong with a table before anyone trains on it.",
    "train": "Train a model on labelled rows, or on pairs of texts.",
    "resume": "Go on where a training stopped, to the same weights.",
    "evaluate": "Score a model on rows with targets, with intervals.",
    **{task: entry.help for task, entry in JOBS.items()},
    "score": "Tell how likely a translator holds given translations; align their words.",
    "shortlist": "Learn which tokens a translator may need, to write faster.",
    "quantize": "Make an int8 twin of a model, and say how far its answers moved.",
    "convert": "Write an old model folder again, so that it loads safely.",
    "inspect": "Draw what a model attends to in one text.",
    "tokenizer": "Learn a vocabulary, or show how a text is cut into tokens.",
    "fetch": "Bring a published model into the cache.",
}


def commands() -> dict[str, str]:
    """Give the names and one-line helps of all commands, those of registered jobs among them."""
    return COMMANDS | {task: entry.help for task, entry in JOBS.items()}


def _app_of(name: str) -> typer.Typer:
    """Import a command; a task without a file of its own has the one that all tasks share."""
    module = f"zhixing.cli.{name}"
    if importlib.util.find_spec(module) is None:
        return importlib.import_module("zhixing.cli.predict").app_for(name)
    return importlib.import_module(module).app


class LazyCommand(TyperCommand):
    """Stand for a command whose file is imported when it is called."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Import the command and let it read its arguments."""
        real = get_command(_app_of(str(self.name)))
        real.name = self.name
        return real.make_context(info_name, args, parent=parent, **extra)


class LazyGroup(TyperGroup):
    """List the commands without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the commands, in the order in which one meets them."""
        return list(commands())

    def get_command(self, ctx: Any, cmd_name: str) -> LazyCommand | None:
        """Give a command by its name."""
        if cmd_name not in commands():
            return None
        return LazyCommand(name=cmd_name, help=commands()[cmd_name], callback=None)


app = typer.Typer(cls=LazyGroup, no_args_is_help=True)

# Some versions of typer carry their own copy of click, others import it: the class of all usage
# errors is found from the one that every version exports.
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
INTERRUPTED = 130
# As typer itself ends when a write fails so.
NOBODY_READS = 1


def show_version(is_asked: bool) -> bool:
    """Print the version and end, if that was asked for."""
    if is_asked:
        typer.echo(__version__)
        raise typer.Exit
    return is_asked


@app.callback()
def face(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=show_version
    ),
) -> None:
    """Zhixing · 知行: small and medium language models, from theory to practice."""


def main() -> None:
    """Run a command; what a person can mend is one sentence on standard error and status 2."""
    try:
        status = app(prog_name="zhixing", standalone_mode=False)
        sys.stdout.flush()
    except ZhixingError as error:
        status = _said(str(error))
    except USAGE_ERROR as error:
        status = _said(_sentence(error))
    except KeyboardInterrupt:
        status = _said("interrupted", status=INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = NOBODY_READS
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        status = _said(f"{where}{error.strerror or error}; check the path, its disk and its owner")
    # As it ends, Python would look through all of torch's objects once more: half a second.
    gc.freeze()
    sys.exit(status if isinstance(status, int) else 0)


def _said(sentence: str, *, status: int = 2) -> int:
    if sentence:
        sys.stderr.write(f"zhixing: {sentence}\n")
    return status


def _sentence(error: Any) -> str:
    """Say what is wrong with a command's words, and which help tells more."""
    # Without any words at all typer has printed the help, and the message is empty.
    said = " ".join(error.format_message().split()).rstrip(".")
    path = error.ctx.command_path if error.ctx is not None else "zhixing"
    return f"{said}; see {path} --help" if said else ""
