"""Is a classifier trained here as good as the reference library's, at the same settings?

python -m benchmarks.accuracy sst2 --seeds 0 1 2
python -m benchmarks.accuracy sst2 --recipe           the project's own recipe, once
python -m benchmarks.accuracy chnsenticorp --scratch   own vocabulary, own encoder, no weights
"""

import argparse
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


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--recipe", action="store_true")
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.recipe or args.scratch:
        measure_recipe(args.dataset, is_new=args.scratch, threads=args.threads)
    else:
        compare(args.dataset, args.seeds, args.precision, args.threads)


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


def compare(dataset: str, seeds: list[int], precision: str, threads: int) -> None:
    """Train both, seed by seed."""
    split = read_split(dataset)
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        settings = {**SAME_AS_TRAINER, "seed": seed, "precision": precision}
        ours = train_ours(split, settings, threads=threads)
        reference = train_reference(split, seed=seed, precision=precision)
        rows.append({"seed": seed, "ours": ours, "reference": reference})
        print(seed, ours["accuracy"], reference["accuracy"], flush=True)
    write_comparison(dataset, precision, rows)


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
