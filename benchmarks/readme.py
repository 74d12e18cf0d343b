"""Write the generated parts of the README: the table of measurements, positions, the tree.

python -m benchmarks.readme          write them
python -m benchmarks.readme --check  fail if they are not what would be written
"""

import ast
import json
import re
import statistics
import sys
from pathlib import Path

from benchmarks.readme_translation import (
    built_in_lines,
    decoding_lines,
    learning_lines,
    translation_lines,
)
from benchmarks.runs import RESULTS, read

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PACKAGES = [
    "tokenization",
    "metrics",
    "pages",
    "layers",
    "data",
    "models",
    "checkpoints",
    "generation",
    "tasks",
    "training",
    "evaluation",
    "inspection",
    "workflows",
    "cli",
    "resources",
]


def accuracy_lines() -> list[list[str]]:
    """Compare with the reference library, mean over seeds."""
    lines = []
    names = {"sst2": "SST-2", "banking77": "Banking77", "agnews": "AG News (4,000 rows)"}
    for name, shown in names.items():
        found = read(f"accuracy-{name}")
        if found is None:
            continue
        ours = [row["ours"]["accuracy"] for row in found["seeds"]]
        theirs = [row["reference"]["accuracy"] for row in found["seeds"]]
        lines.append(
            [
                f"{shown}, 3 epochs, batch 16, rate 5e-5, {len(ours)} seeds: mean accuracy",
                f"{statistics.mean(ours):.4f} ({min(ours):.4f} to {max(ours):.4f})",
                f"Trainer {statistics.mean(theirs):.4f} ({min(theirs):.4f} to {max(theirs):.4f})",
                "not below by more than 0.005",
                found["command"],
            ]
        )
    return lines


def recipe_lines() -> list[list[str]]:
    """Show the project's own recipes."""
    lines = []
    found = read("recipe-sst2")
    if found is not None:
        lines.append(
            [
                "SST-2, own recipe, validation accuracy",
                f"{found['accuracy']:.4f} in {found['seconds']:.0f} s",
                "",
                "0.89",
                found["command"],
            ]
        )
    found = read("scratch-chnsenticorp")
    if found is not None:
        low, high = found["baseline"]["gain_interval"]
        lines.append(
            [
                "ChnSentiCorp from nothing, validation accuracy",
                f"{found['accuracy']:.4f} in {found['seconds'] / 60:.1f} min",
                f"bag of {found['baseline']['unit']} {found['baseline']['accuracy']:.4f} "
                f"({100 * low:+.1f} to {100 * high:+.1f} points); with pairs of them "
                f"{found['character_pairs']:.4f}",
                "0.86 in 20 min, above the bag",
                found["command"],
            ]
        )
    return lines


def training_lines() -> list[list[str]]:
    """Compare training times."""
    lines = []
    shown = {"sst2": "SST-2 rows", "mixed": "640 texts of 1 to 6 sentences"}
    wanted = {"sst2": "2 / 1.4", "mixed": "3 / 1.4"}
    for kind, name in shown.items():
        found = read(f"training-{kind}")
        if found is None:
            continue
        seconds = {key: value["median"] for key, value in found["seconds"].items()}
        lines.append(
            [
                f"fine-tuning on {name}: times faster than the Trainer, default / by length",
                f"{found['times_faster_than_default']:.2f} / "
                f"{found['times_faster_than_grouped']:.2f} "
                f"(float32: {found['float32_times_faster_than_default']:.2f} / "
                f"{found['float32_times_faster_than_grouped']:.2f})",
                f"{seconds['reference']:.1f} s / {seconds['reference, grouped by length']:.1f} s; "
                f"with bfloat16 products {seconds['reference, bfloat16 products']:.1f} s",
                wanted[kind],
                found["command"],
            ]
        )
    return lines


def speed_lines() -> list[list[str]]:
    """Compare classification speeds and latencies."""
    found = read("classify-speed")
    if found is None:
        return []
    speeds, latency = found["tokens_per_second"], found["latency"]
    lines = []
    wanted = {"zhixing float32": "1.2 / 3", "zhixing int8": "1.25 / 5"}
    for name, peer in (
        ("zhixing float32", "transformers sorted"),
        ("zhixing bfloat16", "transformers sorted"),
        ("zhixing int8", "ctranslate2 int8"),
    ):
        own = speeds[name]
        lines.append(
            [
                f"classify 512 texts, {name.split()[1]}, tokens/s",
                f"{own:,.0f}",
                f"{peer} {speeds[peer]:,.0f} ({own / speeds[peer]:.2f} times); "
                f"pipeline {speeds['transformers pipeline']:,.0f} "
                f"({own / speeds['transformers pipeline']:.1f} times)",
                wanted.get(name, ""),
                found["command"],
            ]
        )
    for name, peer, most in (
        ("zhixing float32", "transformers sorted", "0.7 times"),
        ("zhixing int8", "ctranslate2 int8", "1 times"),
    ):
        own, other = (1000 * latency[key]["median"] for key in (name, peer))
        lines.append(
            [
                f"one short text, {name.split()[1]}, ms",
                f"{own:.2f}",
                f"{peer} {other:.2f} ({own / other:.2f} times)",
                most,
                found["command"],
            ]
        )
    return lines


def quality_lines() -> list[list[str]]:
    """Show what int8 costs."""
    found = read("int8-sst2")
    if found is None:
        return []
    return [
        [
            "int8 against float32 on SST-2 validation: same label, accuracy",
            f"{found['same_label']:.2%}, {found['accuracy_after']:.4f}",
            f"float32 {found['accuracy_before']:.4f}",
            "99 %, within 0.003",
            found["command"],
        ]
    ]


def footprint_lines() -> list[list[str]]:
    """Show how light the house is."""
    found = read("footprint")
    if found is None:
        return []
    command, seconds = found["command"], found["seconds"]
    lines = [
        [
            "`import zhixing`, over Python's own start",
            f"{1000 * seconds['import']:.0f} ms",
            "50 ms",
        ],
        ["`zhixing --help`", f"{1000 * seconds['help']:.0f} ms", "300 ms"],
    ]
    for model, megabytes in found["peak_megabytes"].items():
        (few, less), (many, more) = megabytes.items()
        title = f"peak memory, {int(many):,} short rows over {int(few):,}, {model}"
        lines.append([title, f"{more - less:+.0f} MB ({more:.0f} MB)", "50 MB"])
    lines.append(["parity, properties and whole runs tested", f"{found['suites']:.0f} s", "600 s"])
    if "demo" in found:
        lines.append(["`make demo` in a fresh clone", f"{found['demo']:.0f} s", "240 s"])
    return [[what, value, "", wanted, command] for what, value, wanted in lines]


def measured() -> str:
    """Make the table of all results."""
    lines = accuracy_lines() + recipe_lines() + training_lines() + speed_lines() + quality_lines()
    lines += translation_lines() + built_in_lines() + learning_lines() + decoding_lines()
    lines += footprint_lines()
    if not lines:
        return "Nothing has been measured yet."
    table = ["| what | zhixing | beside it | wanted | command |", "| --- | --- | --- | --- | --- |"]
    table += [f"| {' | '.join(line[:4])} | `{line[4]}` |" for line in lines]
    machines = sorted(
        {
            f"{found['machine']['processor']}, {found['machine']['threads']} threads, "
            f"AMX {'yes' if found['machine']['amx'] else 'no'}, "
            f"torch {found['packages']['torch']}"
            for path in sorted(RESULTS.glob("*.json"))
            for found in [json.loads(path.read_text())]
        }
    )
    return "\n".join([*table, "", "Machines: " + "; ".join(machines) + "."])


def positions() -> str:
    """Make the table of positions."""
    found = read("positions")
    if found is None:
        return "Not measured yet."
    kinds = found["accuracy"]
    names = list(next(iter(kinds.values())))
    table = [f"| positions | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for kind, scores in kinds.items():
        means = " | ".join(f"{statistics.mean(scores[name]):.3f}" for name in names)
        table.append(f"| {kind} | {means} |")
    return "\n".join(table)


def tree() -> str:
    """List every file with the first line of its docstring."""
    lines = ["```", "zhixing/"]
    own = ["__init__.py", "errors.py", "config.py"]
    files = [(0, ROOT / "zhixing" / name) for name in own]
    for package in PACKAGES:
        folder = ROOT / "zhixing" / package
        files.append((0, folder))
        files += [(1, path) for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
        if package == "models":
            inner = sorted((folder / "families").glob("*.py"))
            files += [(1, folder / "families")]
            files += [(2, path) for path in inner if path.name != "__init__.py"]
    for depth, path in files:
        name = "  " * (depth + 1) + path.name + ("/" if path.is_dir() else "")
        lines.append(f"{name:<32}{said_of(path)}")
    lines += [
        "tests/  benchmarks/  recipes/  docs/  CHANGELOG.md  CONTRIBUTING.md  Makefile",
        "```",
    ]
    return "\n".join(lines)


def said_of(path: Path) -> str:
    """Give the first line of a module's docstring."""
    if path.is_dir():
        path = path / "__init__.py"
    if not path.exists():
        return "data that comes with the package, each with its card"
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.splitlines()[0].rstrip(".")


def main() -> None:
    """Write the README, or check it."""
    text = README.read_text(encoding="utf-8")
    for name, make in (("measured", measured), ("positions", positions), ("tree", tree)):
        part = f"<!-- {name}: begin -->\n{make()}\n<!-- {name}: end -->"
        pattern = f"<!-- {name}: begin -->.*?<!-- {name}: end -->"
        text = re.sub(pattern, lambda _, part=part: part, text, flags=re.S)
    if "--check" in sys.argv:
        if text != README.read_text(encoding="utf-8"):
            raise SystemExit("README.md is stale; run: python -m benchmarks.readme")
        return
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
