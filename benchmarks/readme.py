"""Write the generated parts of the README and of docs: measurements, settings, levels, the tree.

python -m benchmarks.readme          write them
python -m benchmarks.readme --check  fail if they are not what would be written
"""

import ast
import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.readme_translation import (
    Line,
    built_in_lines,
    decoding_lines,
    learning_lines,
    made_by,
    translation_lines,
)
from benchmarks.runs import RESULTS, read
from zhixing.cli.settings import settings_page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# In the order in which data meets them; files beside them come first.
PACKAGES = (
    *("tokenization", "metrics", "pages", "layers", "data", "models", "checkpoints", "generation"),
    *("evaluation", "tasks", "training", "inspection", "jobs", "workflows", "cli", "resources"),
)
# What a reader of two screens should see, by how the titles begin: a claim about quality, one about
# each kind of speed, and one that is not to our advantage.
TELLING = (
    "SST-2, 3 epochs",
    "fine-tuning on 640 texts",
    "classify 512 texts, int8",
    "built-in en-fr, everyday sentences",
    "decoding, Marian's size, int8, greedy, target tokens/s",
    "loading and decoding that model in int8, MB more",
)
# Tasks and the kinds of model whose settings are listed.
SETTINGS = {
    "classify": ["minilm", "new"],
    "translate": ["en-fr", "new"],
    "summarize": ["new"],
}


def accuracy_lines() -> list[Line]:
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
                *made_by(found),
            ]
        )
    return lines


def recipe_lines() -> list[Line]:
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
                *made_by(found),
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
                *made_by(found),
            ]
        )
    return lines


def training_lines() -> list[Line]:
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
                *made_by(found),
            ]
        )
    return lines


def speed_lines() -> list[Line]:
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
                *made_by(found),
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
                *made_by(found),
            ]
        )
    return lines


def quality_lines() -> list[Line]:
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
            *made_by(found),
        ]
    ]


def footprint_lines() -> list[Line]:
    """Show how light the house is."""
    found = read("footprint")
    if found is None:
        return []
    made, seconds = made_by(found), found["seconds"]
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
    return [[what, value, "", wanted, *made] for what, value, wanted in lines]


def house_lines() -> list[Line]:
    """Show through how many files a text passes, and how soon a fresh process answers."""
    found = read("reading-the-house")
    if found is None:
        return []
    lines = []
    for task, files in (("classify", "18 / 32"), ("translate", "30 / 46")):
        own = found[task]
        counts = f"{own['files of a call']} / {own['files of load and call']}"
        low, high = own["spread"]
        seconds = f"{own['seconds more to the first answer']:.2f} s ({low:.2f} to {high:.2f})"
        titles = f"{task}: files a text passes, call / load and call"
        lines.append([titles, counts, "", files, *made_by(found)])
        titles = f"{task}: load and one answer in a fresh process, after `import torch`"
        torch = f"`import torch` {own['seconds to import torch']:.2f} s"
        lines.append([titles, seconds, torch, "0.3 s", *made_by(found)])
    return lines


def gpu_lines() -> list[Line]:
    """Show what decoding on a GPU gives."""
    found = read("cuda")
    if found is None:
        return []
    runs = found["en-fr, 256 sentences, beam 4"]
    same = ", ".join(
        f"{kind} {runs[kind]['same texts as float32 on the CPU']:.0%}"
        for kind in ("float32", "bfloat16", "float16")
    )
    peer = f"transformers float32 {runs['transformers float32']['seconds']:.2f} s"
    end = [found["command"], found["device"]]
    return [
        ["en-fr on a GPU, 256 sentences, beam 4: same texts as on a CPU", same, "", "", *end],
        [
            "en-fr on a GPU, 256 sentences, beam 4, float32",
            f"{runs['float32']['seconds']:.2f} s",
            f"{peer} ({runs['times faster']:.2f} times)",
            "",
            *end,
        ],
    ]


def all_lines() -> list[Line]:
    """Give the lines of all results, each once."""
    lines = accuracy_lines() + recipe_lines() + training_lines() + speed_lines() + quality_lines()
    lines += translation_lines() + built_in_lines() + learning_lines() + decoding_lines()
    return lines + gpu_lines() + footprint_lines() + house_lines()


def measured() -> str:
    """Make the table of all results."""
    lines = all_lines()
    if not lines:
        return "Nothing has been measured yet."
    titles = ("what", "zhixing", "beside it", "wanted", "command", "machine")
    table = [f"| {' | '.join(titles)} |", "|" + " --- |" * len(titles)]
    table += [f"| {' | '.join(line[:4])} | `{line[4]}` | {line[5]} |" for line in lines]
    versions = sorted(
        {
            f"{name} {version}"
            for path in sorted(RESULTS.glob("*.json"))
            for name, version in json.loads(path.read_text())["packages"].items()
            if name != "zhixing"
        }
    )
    return "\n".join([*table, "", f"Versions: {', '.join(versions)}."])


def highlights() -> str:
    """Make the few lines that the README shows, each the first whose title begins so."""
    lines = all_lines()
    chosen = [
        next((line for line in lines if line[0].startswith(start)), None) for start in TELLING
    ]
    table = ["| what | zhixing | beside it | machine, command |", "| --- | --- | --- | --- |"]
    table += [f"| {' | '.join(x[:3])} | {x[5]}; `{x[4]}` |" for x in chosen if x is not None]
    return "\n".join(table)


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
    own = ["__init__.py", "version.py", "errors.py", "config.py"]
    files = [(0, ROOT / "zhixing" / name) for name in own]
    for package in PACKAGES:
        files += listed(ROOT / "zhixing" / package)
    for depth, path in files:
        name = "  " * (depth + 1) + path.name + ("/" if path.is_dir() else "")
        lines.append(f"{name:<32}{said_of(path)}".rstrip())
    lines += [
        "tests/  benchmarks/  recipes/  docs/  CHANGELOG.md  CONTRIBUTING.md  Makefile",
        "```",
    ]
    return "\n".join(lines)


def listed(folder: Path, depth: int = 0) -> list[tuple[int, Path]]:
    """List a folder, its files, then the packages inside it, each with how deep it stands."""
    inner = sorted(folder.glob("*.py"))
    files = [(depth + 1, path) for path in inner if path.name != "__init__.py"]
    packages = sorted(path.parent for path in folder.glob("*/__init__.py"))
    return [
        (depth, folder),
        *files,
        *(each for package in packages for each in listed(package, depth + 1)),
    ]


def said_of(path: Path) -> str:
    """Give the first line of a module's docstring."""
    if path.is_dir():
        path = path / "__init__.py"
    if not path.exists():
        return "data and small models that come with the package, each with its card"
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return (docstring.splitlines() or [""])[0].rstrip(".")


# The parts between marks, by page.
PARTS: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    ROOT / "README.md": {"highlights": highlights},
    DOCS / "measurements.md": {"measured": measured, "positions": positions},
    DOCS / "architecture.md": {"tree": tree},
}


def pages() -> dict[Path, str]:
    """Give every generated page, and every page with its generated parts filled in."""
    made = {DOCS / "settings.md": settings_page(SETTINGS)}
    for path, parts in PARTS.items():
        text = path.read_text(encoding="utf-8")
        for name, make in parts.items():
            part = f"<!-- {name}: begin -->\n{make()}\n<!-- {name}: end -->"
            pattern = f"<!-- {name}: begin -->.*?<!-- {name}: end -->"
            text, count = re.subn(pattern, lambda _, part=part: part, text, flags=re.S)
            if count != 1:
                raise SystemExit(f"{path.name} has {count} places for {name}; give it one")
        made[path] = text
    return made


def main() -> None:
    """Write the pages, or check them."""
    stale = []
    for path, text in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        raise SystemExit(f"{', '.join(stale)} stale; run: python -m benchmarks.readme")


if __name__ == "__main__":
    main()
