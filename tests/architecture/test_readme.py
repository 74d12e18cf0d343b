"""What the README says of the tree and of measurements is what the tree and the results say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_generated_parts_of_the_readme_are_up_to_date():
    command = [sys.executable, "-m", "benchmarks.readme", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readme_names_the_two_commands_and_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = ["check", "train", "classify", "evaluate", "quantize", "inspect", "resume", "fetch"]
    for words in ("make demo", "make test", *(f"zhixing {name}" for name in commands)):
        assert words in text, words
