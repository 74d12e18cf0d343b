"""The house stays as it was drawn: levels, lengths, public names, quiet imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zhixing

ROOT = Path(zhixing.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LEVELS = {
    **dict.fromkeys(("errors", "config", "version", "__init__"), 0),
    **dict.fromkeys(("tokenization", "metrics", "layers", "pages"), 1),
    **dict.fromkeys(("data", "models"), 2),
    **dict.fromkeys(("checkpoints", "generation", "evaluation"), 3),
    "tasks": 4,
    **dict.fromkeys(("training", "inspection"), 5),
    "jobs": 6,
    "workflows": 7,
    **dict.fromkeys(("serving", "cli"), 8),
    "__main__": 9,
}


LAZY = {"__init__.py", "cli/main.py"}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    """Name the packages of ours that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "zhixing":
                names = [f"zhixing.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("zhixing.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_from_levels_below_its_own(path):
    own = part_of(path)
    if own == "__init__":
        return
    for other in imported_parts(path) - {own, "errors"}:
        assert LEVELS[other] < LEVELS[own], f"{path} imports {other}"


def test_every_package_has_a_level():
    assert {part_of(path) for path in FILES} <= set(LEVELS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            lines = node.end_lineno - node.lineno + 1
            lines -= docstring.count("\n") + 1 if docstring else 0
            assert lines <= 60, f"{path}:{node.lineno} {node.name} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_imported_inside_a_function(path):
    if str(path.relative_to(ROOT)) in LAZY:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not inner, f"{path}:{node.lineno} {node.name} imports inside"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_library_holds_no_assert_no_bare_except_no_silent_one_and_no_pickle(path):
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path}:{node.lineno}"
            assert not all(isinstance(b, ast.Pass) for b in node.body), f"{path}:{node.lineno}"
    if path.name == "unpickle.py":
        # The one place that opens a pickle takes nothing but tensors out of it.
        text = re.sub(r"torch\.load\([^)]*weights_only=True\)", "", text)
    assert not re.search(r"^\s*import pickle|torch\.load\(|\btransformers\b.*import", text, re.M)


def test_the_public_names_are_these_and_no_others():
    assert sorted(zhixing.__all__) == [
        "Classifier",
        "ClassifyOptions",
        "Columns",
        "Report",
        "SummarizeOptions",
        "Summarizer",
        "TranslateOptions",
        "Translator",
        "__version__",
        "align_pairs",
        "alternatives",
        "check",
        "evaluate",
        "load",
        "quantize",
        "resume",
        "score_pairs",
        "train",
        "variants",
    ]
    for name in zhixing.__all__:
        assert getattr(zhixing, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = zhixing.tarin


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_imports_nothing_but_the_standard_library():
    heavy = modules_after("import zhixing") & {"torch", "numpy", "polars", "typer", "rich"}
    assert not heavy


def test_the_help_imports_nothing_heavier_than_typer_and_rich():
    code = (
        "import runpy; sys.argv = ['zhixing', '--help']\n"
        "import io, contextlib\n"
        "from zhixing.cli.main import app\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try: app()\n"
        "    except SystemExit: print()"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {name.split(".")[0] for name in done.stdout.split()}
    assert "typer" in names
    assert not names & {"torch", "numpy", "polars", "tokenizers"}
