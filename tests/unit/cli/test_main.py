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
