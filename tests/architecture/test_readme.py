"""What the README and docs say of the tree and of measurements is what the tree and results say."""

import re
import subprocess
import sys
from pathlib import Path

from zhixing.cli.main import commands

ROOT = Path(__file__).resolve().parents[2]
# Two screens.
MAX_LINES = 120


def test_the_generated_parts_of_the_readme_and_docs_are_up_to_date() -> None:
    command = [sys.executable, "-m", "benchmarks.readme", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_fits_two_screens_and_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES
    assert "make demo" in text and "make test" in text


def test_every_command_is_shown_on_some_page() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    missing = [name for name in commands() if not re.search(rf"zhixing {name}\b", text)]
    assert not missing
