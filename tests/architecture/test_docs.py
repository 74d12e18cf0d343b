"""What the pages say of the code is so: places, links, levels, and the code they explain."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from architecture.test_structure import LEVELS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"`([\w/]+\.py)(?::([\w.]+))?`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    """Give a page without its blocks of code."""
    return CODE.sub("", page.read_text(encoding="utf-8"))


@cache
def names_in(path: Path) -> frozenset[str]:
    """Name what a file defines: functions, classes, what they hold, and its variables."""
    found = set()

    def look(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    look(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(prefix + t.id for t in targets if isinstance(t, ast.Name))

    look(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_place_that_is_named_is_there(page: Path) -> None:
    wrong = []
    for name, inside in PLACE.findall(text_of(page)):
        paths = [path for path in (ROOT / "zhixing" / name, ROOT / name) if path.is_file()]
        if not paths or (inside and inside not in names_in(paths[0])):
            wrong.append(f"{name}:{inside}" if inside else name)
    assert not wrong


def anchor(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(text_of(page)):
        if link.startswith("https://"):
            continue
        name, _, part = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if part:
            titles = re.findall(r"^#+ (.*)$", text_of(target), re.MULTILINE)
            assert part in map(anchor, titles), link


def test_every_page_of_docs_is_linked_from_the_readme_or_from_one_that_is() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(text_of(page))
        if "://" not in link
    }
    assert {page for page in PAGES if page.parent.name == "docs"} <= linked


def test_the_levels_are_those_that_are_held() -> None:
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", text_of(ROOT / "docs/architecture.md"), re.M)
    told = {name: int(level) for level, names in rows for name in names.strip().split(", ")}
    held = {name: level for name, level in LEVELS.items() if not name.startswith("__")}
    assert told == held


@pytest.mark.parametrize(
    ("page", "source"),
    [
        ("add-a-task.md", "tests/fakes/capitals.py"),
        ("add-a-family.md", "zhixing/models/families/distilbert.py"),
    ],
)
def test_the_code_that_a_recipe_explains_is_the_whole_file(page: str, source: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```py\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)
    code = (ROOT / source).read_text(encoding="utf-8")
    # Where blank lines stand is the formatter's.
    shown = [line for block in blocks for line in block.splitlines() if line]
    assert shown == [line for line in code.splitlines() if line]
