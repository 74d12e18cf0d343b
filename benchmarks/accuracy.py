"""Is a classifier trained here as good as the reference library's, at the same settings?

python -m benchmarks.accuracy sst2 --seeds 0 1 2
python -m benchmarks.accuracy sst2 --system ours       one side alone; the other may run beside it
python -m benchmarks.accuracy sst2 --recipe           the project's own recipe, once
python -m benchmarks.accuracy chnsenticorp --scratch   own vocabulary, own encoder, no weights
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks.datasets import Split, read_split
from benchmarks.recipes import FROM_SCRATCH, SENTIMENT
from benchmarks.reference_trainer import train_reference
from benchmarks.runs import SAME_AS_TRAINER, train_ours, write_result
from zhixing.evaluation.bag_of_words import fit_bag_of_words
from zhixing.workflows.quantize import quantize_model

SYSTEMS = ["ours", "reference"]


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--recipe", action="store_true")
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--system", choices=SYSTEMS)
    parser.add_argument("--runs", type=Path, default=Path("out/accuracy"))
    args = parser.parse_args()
    if args.recipe or args.scratch:
        measure_recipe(args.dataset, is_new=args.scratch, threads=args.threads)
    else:
        compare(args)


def measure_recipe(dataset: str, *, is_new: bool, threads: int) -> None:
    """Train once with a recipe of the project's own; then see what int8 does to the model."""
    split = read_split(dataset)
    settings = FROM_SCRATCH if is_new else SENTIMENT
    model = "new" if is_new else "minilm"
    option = "--scratch" if is_new else "--recipe"
    command = f"python -m benchmarks.accuracy {dataset} {option}"

    def keep_int8(folder: Path) -> None:
        report = quantize_model(folder, split.validation, out=folder.with_name("int8"))
        write_result(f"int8-{dataset}", command, report.to_dict())

    result = train_ours(split, settings, model=model, threads=threads, after=keep_int8)
    name = f"{'scratch' if is_new else 'recipe'}-{dataset}"
    values = {"dataset": dataset, "settings": settings, **result}
    if is_new:
        values["character_pairs"] = score_character_pairs(split)
    print(write_result(name, command, values))
    print(result)


def score_character_pairs(split: Split) -> float:
    """Score the higher bar beside a bag of characters: characters and pairs of them."""
    names = sorted({label for _, label in split.train})
    ids = torch.tensor([names.index(label) for _, label in split.train])
    texts = [text for text, _ in split.train]
    bag = fit_bag_of_words(texts, ids, len(names), unit="character pairs")
    predicted = bag.predict([text for text, _ in split.validation]).tolist()
    right = [names[p] == label for p, (_, label) in zip(predicted, split.validation, strict=True)]
    return statistics.mean(right)


def compare(args: argparse.Namespace) -> None:
    """Train what `args.runs` does not hold yet; write the result when both systems are done."""
    split = read_split(args.dataset)
    systems = [args.system] if args.system else SYSTEMS
    for seed in args.seeds:
        for system in systems:
            path = run_file(args, system, seed)
            if path.exists():
                continue
            run = train_once(args, split, system, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(run) + "\n")
            print(args.dataset, system, seed, run["accuracy"], flush=True)
    if not all(run_file(args, system, seed).exists() for seed in args.seeds for system in SYSTEMS):
        return
    rows: list[dict[str, Any]] = [
        {"seed": seed}
        | {system: json.loads(run_file(args, system, seed).read_text()) for system in SYSTEMS}
        for seed in args.seeds
    ]
    write_comparison(args.dataset, args.precision, rows)


def run_file(args: argparse.Namespace, system: str, seed: int) -> Path:
    """Name the file that keeps one run, so that a long comparison can be taken up again."""
    folder: Path = args.runs
    return folder / f"{args.dataset}-{system}-{args.precision}-{seed}.json"


def train_once(args: argparse.Namespace, split: Split, system: str, seed: int) -> dict[str, Any]:
    """Train one system with one seed at the Trainer's settings."""
    if system == "reference":
        return train_reference(split, seed=seed, precision=args.precision)
    settings = {**SAME_AS_TRAINER, "seed": seed, "precision": args.precision}
    return train_ours(split, settings, threads=args.threads)


def write_comparison(dataset: str, precision: str, rows: list[dict[str, Any]]) -> None:
    """Keep the seeds of a comparison and their means."""
    ours = statistics.mean(row["ours"]["accuracy"] for row in rows)
    reference = statistics.mean(row["reference"]["accuracy"] for row in rows)
    values = {
        "dataset": dataset,
        "precision": precision,
        "ours": ours,
        "reference": reference,
        "difference": ours - reference,
        "seeds": rows,
    }
    command = f"python -m benchmarks.accuracy {dataset} --precision {precision}"
    print(write_result(f"accuracy-{dataset}", command, values))


if __name__ == "__main__":
    main()
