"""Other ways to classify texts with the same BERT model, each as a function of texts to label ids.

    python -m benchmarks.peers_classify            # do the peers agree on 64 texts?

Every peer reads a Hugging Face folder. One without a classification head, as `minilm` is, is given
one drawn from seed 0, the same for all, so that their answers can be compared. Texts are cut at 512
tokens, the most that the model reads.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import TransformersConverter
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    TextClassificationPipeline,
    logging,
)

from benchmarks.datasets import minilm_folder, read_split

Classify = Callable[[Sequence[str]], list[int]]

MAX_TOKENS = 512
# Tokens in a padded batch of CTranslate2's, at which it was fastest: 250, 500 and 1,000 were within
# 15 % of one another, 3,000 slower.
TOKENS_PER_BATCH = 500


@dataclass(frozen=True)
class Head:
    """The last layer of a classifier: one row and one number a label."""

    weight: np.ndarray
    bias: np.ndarray


class Peers:
    """All peers on one model, under the names that the benchmarks print.

    Args:
        folder: The model.
        work: An existing folder for what is converted.
        threads: For every peer; without it, as many as torch uses.
    """

    def __init__(self, folder: Path, work: Path, *, threads: int | None = None) -> None:
        self.folder = folder
        self.work = work
        self.threads = threads or torch.get_num_threads()

    def contestants(self) -> dict[str, Classify]:
        """Load every peer; each takes texts and gives label ids."""
        return {
            "transformers pipeline": transformers_pipeline(self.folder),
            "transformers": transformers_classifier(self.folder, sorts=False),
            "transformers sorted": transformers_classifier(self.folder),
            "ctranslate2 float32": self._ctranslate2("float32"),
            "ctranslate2 int8": self._ctranslate2("int8"),
            "ctranslate2 int8, a worker a thread": self._ctranslate2("int8", self.threads),
        }

    def _ctranslate2(self, compute_type: str, workers: int = 1) -> Classify:
        return ctranslate2_classifier(
            self.folder,
            self.work,
            compute_type=compute_type,
            threads=self.threads,
            workers=workers,
        )


def read_head(folder: Path, *, num_labels: int = 2) -> Head:
    """Read the head of a BERT classifier, or draw one where there is none."""
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        if "classifier.weight" in file.keys():  # noqa: SIM118 (safe_open is no mapping)
            return Head(file.get_tensor("classifier.weight"), file.get_tensor("classifier.bias"))
    width = AutoConfig.from_pretrained(folder).hidden_size
    draw = np.random.default_rng(0)
    weight = draw.normal(scale=width**-0.5, size=(num_labels, width)).astype(np.float32)
    return Head(weight, np.zeros(num_labels, dtype=np.float32))


def count_tokens(folder: Path, texts: Sequence[str]) -> int:
    """Count what a model reads of some texts, without padding."""
    return sum(len(ids) for ids in _token_ids(folder, texts))


def ctranslate2_classifier(
    folder: Path, work: Path, *, compute_type: str, threads: int, workers: int = 1
) -> Classify:
    """Convert a model for CTranslate2 and classify with it, in batches of like length.

    Args:
        folder: The model.
        work: An existing folder for the converted one.
        compute_type: "int8" or "float32"; also what the weights are stored as.
        threads: In all.
        workers: Batches computed at once, each by `threads / workers` threads. On two cores two
            workers were 1.8 times as fast as one, because threads inside a batch wait for one
            another; so compare with both.
    """
    converted = work / f"ctranslate2-{compute_type}"
    if not converted.exists():
        TransformersConverter(str(folder)).convert(str(converted), quantization=compute_type)
    encoder = ctranslate2.Encoder(
        str(converted),
        compute_type=compute_type,
        inter_threads=workers,
        intra_threads=max(1, threads // workers),
    )
    head = read_head(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def answer(ids: list[list[int]]) -> np.ndarray:
        pooled = np.array(encoder.forward_batch(ids).pooler_output)
        return (pooled @ head.weight.T + head.bias).argmax(-1)

    def classify(texts: Sequence[str]) -> list[int]:
        ids = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
        batches = list(_by_length([len(row) for row in ids], TOKENS_PER_BATCH))
        found = np.empty(len(ids), dtype=np.int64)
        with ThreadPoolExecutor(workers) as pool:
            answers = pool.map(lambda rows: answer([ids[row] for row in rows]), batches)
            for rows, labels in zip(batches, answers, strict=True):
                found[rows] = labels
        return found.tolist()

    return classify


def transformers_classifier(
    folder: Path,
    *,
    batch_size: int = 32,
    sorts: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Classify:
    """Classify with the reference library's model, in padded batches.

    Args:
        folder: The model.
        batch_size: Texts in a batch.
        sorts: Put texts of like length together; otherwise they stay in their order.
        dtype: Of weights and activations.
    """
    model = _reference_model(folder).to(dtype)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def classify(texts: Sequence[str]) -> list[int]:
        rows = sorted(range(len(texts)), key=lambda row: len(texts[row])) if sorts else None
        order = rows or list(range(len(texts)))
        found = np.empty(len(texts), dtype=np.int64)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = tokenizer(
                [texts[row] for row in chosen],
                truncation=True,
                max_length=MAX_TOKENS,
                padding=True,
                return_tensors="pt",
            )
            found[chosen] = model(**batch).logits.argmax(-1).numpy()
        return found.tolist()

    return classify


def transformers_pipeline(folder: Path) -> Classify:
    """Classify with the reference library's task pipeline and its defaults: text by text."""
    pipeline = TextClassificationPipeline(
        model=_reference_model(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        device="cpu",
    )
    ids = pipeline.model.config.label2id

    def classify(texts: Sequence[str]) -> list[int]:
        answers = pipeline(list(texts), truncation=True, max_length=MAX_TOKENS)
        return [ids[answer["label"]] for answer in answers]

    return classify


def _reference_model(folder: Path) -> PreTrainedModel:
    logging.set_verbosity_error()
    head = read_head(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(head.bias))
    with torch.no_grad():
        model.classifier.weight.copy_(torch.from_numpy(head.weight))
        model.classifier.bias.copy_(torch.from_numpy(head.bias))
    return model.eval()


def _token_ids(folder: Path, texts: Sequence[str]) -> list[list[int]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]


def _by_length(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Give rows of like length together, so many that a padded batch keeps to the budget."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if rows and (len(rows) + 1) * lengths[row] > budget:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def main() -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    folder = minilm_folder()
    texts = [text for text, _ in read_split("sst2").validation[:64]]
    with TemporaryDirectory() as work:
        peers = Peers(folder, Path(work)).contestants()
        expected = peers["transformers"](texts)
        print(f"{count_tokens(folder, texts)} tokens; label 1 on {sum(expected)} of {len(texts)}")
        for name, classify in peers.items():
            same = sum(a == b for a, b in zip(classify(texts), expected, strict=True))
            print(f"{name}: same label on {same} of {len(texts)}")


if __name__ == "__main__":
    main()
