"""How well does a tiny model translate captions, learned from nothing on one core?

    python -m benchmarks.multi30k --out FOLDER      # trains, or goes on, or reads what was trained

Multi30k, English to French: 29,000 pairs, 4 + 4 layers of 128, one vocabulary of 8,000 pieces; the
validation set is scored with the tokenized lower-cased BLEU of the papers, and with sacreBLEU.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.datasets import SHARED
from benchmarks.runs import write_result
from zhixing.workflows.evaluate import evaluate
from zhixing.workflows.train import resume, train

SETTINGS: dict[str, Any] = {
    "epochs": 30,
    "batch_tokens": 4096,
    "learning_rate": 4e-3,
    "warmup_ratio": 0.08,
    "dropout": 0.1,
    "new.vocab_size": 8000,
    "new.hidden_size": 128,
    "new.feed_forward_size": 256,
    "new.encoder_layers": 4,
    "new.decoder_layers": 4,
}


def trained(out: Path, threads: int) -> None:
    """Train, or go on with a training, unless it is complete."""
    folder = SHARED / "multi30k_en-fr"
    if not out.exists():
        train(
            "translate",
            data=folder / "train.tsv",
            validation=folder / "validation.tsv",
            model="new",
            out=out,
            threads=threads,
            **SETTINGS,
        )
    elif not (out / "config.json").exists():
        resume(out)


def curve(out: Path) -> list[dict[str, float]]:
    """Read the validation scores over the training's own seconds, decoding left out."""
    points, seconds = [], 0.0
    for line in (out / "metrics.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "step":
            seconds += event["seconds"]
        elif event["event"] == "evaluation":
            points.append({"epoch": event["epoch"], "minutes": seconds / 60, **event["scores"]})
    return points


def main(out: Path, threads: int) -> None:
    """Train and score."""
    trained(out, threads)
    report = evaluate(out, SHARED / "multi30k_en-fr" / "validation.tsv", threads=threads)
    points = curve(out)
    events = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    seconds = sum(step["seconds"] for step in steps)
    values = {
        "settings": SETTINGS,
        "threads": threads,
        "minutes": seconds / 60,
        "tokens_per_second": sum(step["tokens"] for step in steps) / seconds,
        "curve": points,
        "report": {k: v for k, v in report.to_dict().items() if k != "worst"},
    }
    command = f"python -m benchmarks.multi30k --out {out.name}"
    print(write_result("multi30k", command, values))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    main(options.out.absolute(), options.threads)
