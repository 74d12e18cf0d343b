"""How many tokens a second does a translator learn from, here and with the reference's trainer?

    python -m benchmarks.translation_training
    python -m benchmarks.translation_training --toolkit eole=eole/bin/python

The tiny model of `benchmarks.multi30k` on its 29,000 pairs, from the same drawn weights: ours, and
the reference library's Seq2SeqTrainer with rows grouped by length and about as many tokens a batch,
each in a process of its own, in turn, in rounds. Tokens are those of sources and targets; padding
is not counted. The first steps of each are left out. Other toolkits join in where a Python is named
that has them (see `benchmarks.peers_training`). bfloat16 takes part where a processor has tiles.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.datasets import SHARED
from benchmarks.multi30k import SETTINGS
from benchmarks.peers_training import TOOLKITS
from benchmarks.peers_translate import ROOT
from benchmarks.runs import write_result
from zhixing.data.readers import read_table
from zhixing.data.roles import PAIRS
from zhixing.layers.kernels.packed_linear import has_tiles
from zhixing.workflows.train import train

STEPS, WARMUP = 60, 15
CONTESTANTS = ("zhixing", "zhixing float32", "Seq2SeqTrainer float32", "Seq2SeqTrainer bfloat16")
FLOAT32 = ("zhixing float32", "Seq2SeqTrainer float32")
# Pairs of Multi30k that hold about as many tokens as a batch of ours.
PAIRS_A_BATCH = 128


def ours(folder: Path, precision: str) -> float:
    """Train some steps, and give the median rate of the later ones."""
    data = SHARED / "multi30k_en-fr"
    settings = {
        **SETTINGS,
        "max_steps": STEPS,
        "precision": precision,
        "evaluations_per_epoch": 0,
        "average_points": 0,
        "validation_fraction": 0,
        "snapshot_minutes": 0,
    }
    train("translate", data=data / "train.tsv", model="new", out=folder, **settings)
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"][WARMUP:]
    return sum(step["tokens"] for step in steps) / sum(step["seconds"] for step in steps)


def reference(folder: Path, precision: str) -> float:
    """Train the model that we saved with the reference library's trainer."""
    from transformers import (
        AutoModelForSeq2SeqLM,
        DataCollatorForSeq2Seq,
        PreTrainedTokenizerFast,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
        TrainerCallback,
        logging,
    )
    from transformers.models.m2m_100.modeling_m2m_100 import shift_tokens_right

    logging.set_verbosity_error()
    table = read_table(SHARED / "multi30k_en-fr" / "train.tsv", roles=PAIRS)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", eos_token="</s>"
    )
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32)
    sides = [tokenizer(texts)["input_ids"] for texts in (table.texts, table.targets)]
    rows = [
        {"input_ids": a, "attention_mask": [1] * len(a), "labels": b}
        for a, b in zip(*sides, strict=True)
    ]
    counted = {"tokens": 0}
    collate = DataCollatorForSeq2Seq(tokenizer, model=model)

    def counting(batch: list[dict[str, Any]]) -> Any:
        counted["tokens"] += sum(len(row["input_ids"]) + len(row["labels"]) for row in batch)
        whole = collate(batch)
        # The label smoother takes the labels away before the model could shift them.
        start = model.config.decoder_start_token_id
        whole["decoder_input_ids"] = shift_tokens_right(
            whole["labels"], tokenizer.pad_token_id, start
        )
        return whole

    marks: list[tuple[float, int]] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append((time.perf_counter(), counted["tokens"]))

    with tempfile.TemporaryDirectory() as box:
        arguments = Seq2SeqTrainingArguments(
            output_dir=box,
            per_device_train_batch_size=PAIRS_A_BATCH,
            train_sampling_strategy="group_by_length",
            max_steps=STEPS,
            learning_rate=4e-3,
            label_smoothing_factor=0.1,
            lr_scheduler_type="inverse_sqrt",
            use_cpu=True,
            bf16=precision == "bfloat16",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Seq2SeqTrainer(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=counting,
            callbacks=[Clock()],
        )
        trainer.train()
    (start, before), (end, after) = marks[WARMUP], marks[-1]
    return (after - before) / (end - start)


def measure_one(name: str, box: Path) -> float:
    """Measure a contestant in this process."""
    who, _, precision = name.partition(" ")
    if who == "zhixing":
        with tempfile.TemporaryDirectory() as own:
            return ours(Path(own) / "run", precision or "auto")
    return reference(box, precision)


def main(rounds: int, toolkits: dict[str, str]) -> None:
    """Let all contestants run in turn, and keep rates and ratios."""
    own = CONTESTANTS if has_tiles() else FLOAT32
    rates: dict[str, list[float]] = {name: [] for name in (*own, *toolkits)}
    with tempfile.TemporaryDirectory() as box:
        folder = Path(box) / "model"
        ours(folder, "auto")
        for number in range(rounds):
            for name, python in toolkits.items():
                with tempfile.TemporaryDirectory() as work:
                    rates[name].append(TOOLKITS[name](python, folder, Path(work)))
                print(number, name, f"{rates[name][-1]:,.0f} tokens/s", flush=True)
            for name in own:
                command = [
                    *(sys.executable, "-m", "benchmarks.translation_training"),
                    *("--one", name, str(folder)),
                ]
                told = subprocess.run(
                    command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
                )
                rates[name].append(float(told.stdout.split()[-1]))
                print(number, name, f"{rates[name][-1]:,.0f} tokens/s", flush=True)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    fastest = max(value for name, value in medians.items() if not name.startswith("zhixing"))
    values = {
        "threads": torch.get_num_threads(),
        "tokens_per_second": {
            name: {"median": medians[name], "lowest": min(found), "highest": max(found)}
            for name, found in rates.items()
        },
        "ratio": medians[own[0]] / fastest,
        "ratio_float32": medians["zhixing float32"] / medians["Seq2SeqTrainer float32"],
    }
    command = "python -m benchmarks.translation_training"
    print(write_result("translation-training", command, values, by_machine=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--toolkit", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "FOLDER"))
    options = parser.parse_args()
    if options.one:
        print(measure_one(options.one[0], Path(options.one[1])))
    else:
        main(options.rounds, dict(pair.split("=", 1) for pair in options.toolkit))
