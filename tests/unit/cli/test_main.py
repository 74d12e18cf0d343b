import os
import subprocess
import sys

import pytest

from zhixing.cli import main
from zhixing.cli.main import COMMANDS
from zhixing.version import __version__


def test_the_version_is_printed(command) -> None:
    assert command("--version").out == f"{__version__}\n"


def test_the_help_lists_every_command(command) -> None:
    said = command("--help")
    assert said.status == 0 and all(name in said.out for name in COMMANDS)


def test_an_interruption_and_a_full_disk_have_their_status(
    command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fault, status, words in [
        (KeyboardInterrupt(), 130, "zhixing: interrupted\n"),
        (OSError(28, "No space left on device", "x"), 2, "zhixing: x: No space left on device"),
        (BrokenPipeError(), 1, ""),
    ]:

        def fail(*_: object, error: BaseException = fault, **__: object) -> None:
            raise error

        monkeypatch.setattr(main, "app", fail)
        if isinstance(fault, BrokenPipeError):
            monkeypatch.setattr(main.os, "dup2", lambda *_: None)
            monkeypatch.setattr(main.sys.stdout, "fileno", lambda: 1, raising=False)
        done = command("classify")
        assert done.status == status and done.err.startswith(words)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("zhixing tr", {"train", "translate"}),
        ("zhixing train su", {"summarize"}),
        ("zhixing train classify ep", {"epochs=", "epsilon="}),
        ("zhixing train translate --model new new.dec", {"new.decoder_layers="}),
    ],
)
def test_a_shell_is_offered_commands_tasks_and_settings(words: str, offered: set[str]) -> None:
    environment = {
        **os.environ,
        "_ZHIXING_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    code = "from zhixing.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize("task", ["classify", "translate", "summarize"])
def test_every_setting_that_a_task_obeys_is_listed_with_its_default(command, task: str) -> None:
    told = command("train", task, "--model", "new", "--settings")
    assert told.status == 0
    names = [line.partition("=")[0] for line in told.out.splitlines()]
    assert "learning_rate" in names and "new.hidden_size" in names
    assert ("data.class_weights" in names) == (task == "classify")
    assert ("new.decoder_layers" in names) == (task != "classify")
    assert all(len(line.split("  ", 1)) == 2 for line in told.out.splitlines())
    bare = command("train", task, "--model", "minilm", "--settings").out
    assert "new.hidden_size" not in bare


def test_a_training_without_rows_says_what_is_missing(command) -> None:
    told = command("train", "classify", "--out", "x")
    assert told.status == 2
    assert "Missing option '--data'; see zhixing train --help" in told.err
