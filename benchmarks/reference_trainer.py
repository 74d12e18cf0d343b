"""Fine-tune a classifier with the reference library's Trainer, for comparison.

    python -m benchmarks.reference_trainer sst2 --seed 0 --out trainer-sst2-0.json

Settings are the Trainer's own defaults but for batch size, rate and epochs: linear
decay, no warm-up, no weight decay, dropout 0.1, texts cut at 256 tokens, batches padded to their
longest text.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from benchmarks.datasets import Split, minilm_folder, read_split


def train_reference(
    split: Split,
    *,
    seed: int,
    epochs: float = 3,
    batch_size: int = 16,
    learning_rate: float = 5e-5,
    group_by_length: bool = False,
    max_steps: int = -1,
    precision: str = "float32",
) -> dict[str, float]:
    """Train once and score once; seconds are those of `Trainer.train` alone.

    With `precision="bfloat16"` matrix products round their factors, as ours do under that name;
    attention is then computed openly, for torch's fused kernel crawls in that mode.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        logging,
        set_seed,
    )

    logging.set_verbosity_error()
    set_seed(seed)
    folder = str(minilm_folder())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    names = sorted({label for _, label in split.train})
    ids = {name: i for i, name in enumerate(names)}
    is_rounded = precision == "bfloat16"
    torch.set_float32_matmul_precision("medium" if is_rounded else "highest")
    model = AutoModelForSequenceClassification.from_pretrained(
        folder,
        num_labels=len(names),
        attn_implementation="eager" if is_rounded else "sdpa",
    )

    def encode(rows: list[tuple[str, str]]) -> list[dict[str, object]]:
        texts = tokenizer([text for text, _ in rows], truncation=True, max_length=256)["input_ids"]
        return [
            {"input_ids": text, "attention_mask": [1] * len(text), "labels": ids[label]}
            for text, (_, label) in zip(texts, rows, strict=True)
        ]

    grouping = {"train_sampling_strategy": "group_by_length"} if group_by_length else {}
    with tempfile.TemporaryDirectory() as out:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=out,
                num_train_epochs=epochs,
                max_steps=max_steps,
                per_device_train_batch_size=batch_size,
                per_device_eval_batch_size=32,
                learning_rate=rate,
                seed=seed,
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                **grouping,
            ),
            train_dataset=encode(split.train),
            eval_dataset=encode(split.validation),
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda p: {
                "accuracy": float((p.predictions.argmax(-1) == p.label_ids).mean())
            },
        )
        start = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - start
        accuracy = trainer.evaluate()["eval_accuracy"] if split.validation else float("nan")
    return {"seed": seed, "accuracy": accuracy, "seconds": seconds}


def main() -> None:
    """Read the command line, train, and write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    split = read_split(args.dataset)
    result = train_reference(split, seed=args.seed, precision=args.precision)
    values = {"dataset": args.dataset, "precision": args.precision, **result}
    args.out.write_text(json.dumps(values) + "\n")


if __name__ == "__main__":
    main()
