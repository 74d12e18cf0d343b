"""The house stays as it was drawn: levels, lengths, public names, quiet imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zhixing
from zhixing.jobs.registry import JOBS

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


# The last reads a format that few folders have, with a library that is slow to import.
LAZY = {"__init__.py", "cli/main.py", "tokenization/sentencepiece_model.py"}


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


def modules_after(code: str, *, full: bool = False) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    names = done.stdout.split()
    return set(names) if full else {name.split(".")[0] for name in names}


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


# Commands of one task, or of translators alone, may name it.
OWN_COMMANDS = {"translate.py", "score.py", "shortlist.py"}
SHARED = [
    path
    for path in FILES
    if part_of(path) in ("workflows", "cli", "training", "evaluation", "data")
    and path.name not in OWN_COMMANDS
]


@pytest.mark.parametrize("path", SHARED, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_workflow_and_no_shared_command_names_a_task(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not named & set(JOBS), f"{path} names {named & set(JOBS)}"
    classes = {"Classifier", "Translator", "Summarizer", "ClassificationReport", "TextReport"}
    classes |= {"ClassificationTask", "SequenceToSequenceTask"}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not used & classes, f"{path} uses {used & classes}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            package = node.module.split(".")
            if package[:2] == ["zhixing", "jobs"]:
                assert package[2] in FLOOR, node.module


FLOOR = {"learn", "pages", "reading", "registry", "report", "use"}


@pytest.mark.parametrize("task", list(JOBS))
def test_the_half_that_uses_imports_nothing_that_learns_reads_tables_or_draws(task):
    names = modules_after(f"import {JOBS[task].use.partition(':')[0]}", full=True)
    unwanted = ("zhixing.training", "zhixing.data.readers", "zhixing.pages", "zhixing.workflows")
    assert not {name for name in names if name.startswith(unwanted)}


def test_using_a_model_touches_no_table_reader_terminal_or_score_library():
    code = "import zhixing as zx; zx.load('en-fr')('Good morning.')"
    assert not modules_after(code) & {"polars", "sacrebleu", "rich", "typer"}


def test_no_function_has_more_than_eight_parameters_but_the_public_train_and_evaluate():
    many = set()
    for path in FILES:
        if part_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                taken = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
                if len([name for name in taken if name not in ("self", "cls")]) > 8:
                    many.add(node.name)
    assert many == {"train", "evaluate"}
