"""How long does fine-tuning take here, and how long with the reference library's Trainer?

    python -m benchmarks.training_speed mixed      640 texts of 1 to 6 sentences, one epoch
    python -m benchmarks.training_speed sst2       1,600 rows of SST-2, one epoch

All are run in turn, in one process, after a warm-up; the figures are ratios of medians.
"""

import argparse
import random

from benchmarks.datasets import SHARED, Split, read_rows
from benchmarks.reference_trainer import train_reference
from benchmarks.runs import SAME_AS_TRAINER, summary, train_ours, write_result

OURS = {**SAME_AS_TRAINER, "attention_dropout": 0.0, "epochs": 1}


def sentences(count: int, *, most: int, seed: int = 0) -> list[tuple[str, str]]:
    """Make texts of 1 to `most` review sentences, all of one label each."""
    rows = read_rows(SHARED / "sst2" / "train.tsv")
    draw = random.Random(seed)
    by_label = {name: [text for text, label in rows if label == name] for name in "01"}
    texts = []
    for _ in range(count):
        label = draw.choice("01")
        texts.append((" ".join(draw.choices(by_label[label], k=draw.randint(1, most))), label))
    return texts


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["mixed", "sst2"])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rows = (
        sentences(640, most=6)
        if args.kind == "mixed"
        else read_rows(SHARED / "sst2" / "train.tsv")[:1600]
    )
    split = Split(rows, rows[:32])
    small = Split(rows[:64], rows[:32])
    contestants = {
        "reference": lambda s: train_reference(s, seed=0, epochs=1)["seconds"],
        "reference, grouped by length": lambda s: train_reference(
            s, seed=0, epochs=1, group_by_length=True
        )["seconds"],
        "reference, bfloat16 products": lambda s: train_reference(
            s, seed=0, epochs=1, precision="bfloat16"
        )["seconds"],
        "zhixing, float32": lambda s: train_ours(s, {**OURS, "precision": "float32"})["seconds"],
        "zhixing": lambda s: train_ours(s, OURS)["seconds"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run(small)
    for _ in range(args.repeats):
        for name, run in contestants.items():
            seconds[name].append(run(split))
            print(name, round(seconds[name][-1], 2), flush=True)
    medians = {name: summary(values)["median"] for name, values in seconds.items()}
    values = {
        "kind": args.kind,
        "repeats": args.repeats,
        "seconds": {name: summary(values) for name, values in seconds.items()},
        "times_faster_than_default": medians["reference"] / medians["zhixing"],
        "times_faster_than_grouped": medians["reference, grouped by length"] / medians["zhixing"],
        "float32_times_faster_than_default": medians["reference"] / medians["zhixing, float32"],
        "float32_times_faster_than_grouped": medians["reference, grouped by length"]
        / medians["zhixing, float32"],
    }
    command = f"python -m benchmarks.training_speed {args.kind} --repeats {args.repeats}"
    print(write_result(f"training-{args.kind}", command, values))


if __name__ == "__main__":
    main()
