"""Classifier: tokenizer + model + task; text in, results out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import torch

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Example
from zhixing.data.table import Table
from zhixing.errors import CheckpointError, ConfigError, DataError
from zhixing.tasks.batching import Precision, give_back_memory, logits_of, resolved
from zhixing.tasks.classification import Classification, ClassificationTask
from zhixing.tasks.inference import checked_text, inference_model, unlabelled_table, usable_device


@dataclass(frozen=True)
class ClassifyOptions:
    """How results are made of logits.

    Attributes:
        top_k: How many labels `scores` keeps; 0 for all.
        threshold: Below this probability no label is given.
        tokens_per_batch: Budget of a batch; 0 for what suits the device.
    """

    top_k: int = 0
    threshold: float = 0.0
    tokens_per_batch: int = 0

    def __post_init__(self) -> None:
        if self.top_k < 0 or self.tokens_per_batch < 0:
            raise ConfigError(
                f"top_k is {self.top_k} and tokens_per_batch is {self.tokens_per_batch}; "
                f"both have to be at least 0"
            )
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"threshold is {self.threshold}; it is a probability from 0 to 1")


class Classifier:
    """Classify texts with a trained model.

    All threads may share one: a call changes nothing but what it returns.

    Args:
        pretrained: Stays as it was; the pipeline's own model shares its weights.
        device: cpu, cuda, cuda:N or mps.
        precision: Of the matrix products: float32, bfloat16, float16, int8, or auto for bfloat16
            where it is fast.

    Raises:
        CheckpointError: If the model has no head for a task.
        ConfigError: If device or precision are unknown, or do not go together.

    Example:
        `zx.load("runs/reviews")("A moving, funny film.").label`
    """

    def __init__(
        self,
        pretrained: Pretrained,
        *,
        device: str = "cpu",
        precision: Precision = "float32",
    ) -> None:
        config = pretrained.config
        if config.head != "classification":
            raise CheckpointError(
                f"the model has no classification head (its head is {config.head!r}); "
                f"train one with: zhixing train classify --data FILE --model FOLDER --out NEW"
            )
        self.card = pretrained.card
        self.device = usable_device(device)
        self.precision = resolved(precision, self.device)
        self.model, self._products = inference_model(pretrained.model, self.device, self.precision)
        self.pretrained = replace(pretrained, model=self.model)
        self.task = ClassificationTask(
            pretrained.tokenizer,
            self.card.labels,
            max_positions=config.max_positions,
            is_multi_label=self.card.is_multi_label,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Name the classes."""
        return self.task.labels

    @overload
    def __call__(
        self, texts: str, pairs: str | None = None, *, options: ClassifyOptions = ClassifyOptions()
    ) -> Classification: ...

    @overload
    def __call__(
        self,
        texts: list[str] | tuple[str, ...],
        pairs: list[str] | tuple[str, ...] | None = None,
        *,
        options: ClassifyOptions = ClassifyOptions(),
    ) -> list[Classification]: ...

    def __call__(
        self,
        texts: str | list[str] | tuple[str, ...],
        pairs: str | list[str] | tuple[str, ...] | None = None,
        *,
        options: ClassifyOptions = ClassifyOptions(),
    ) -> Classification | list[Classification]:
        """Classify one text, or a list in order.

        Args:
            texts: One text gives one result, a list gives a list.
            pairs: The second text of each, where the model was trained on pairs.
            options: How results are made.

        Raises:
            DataError: If a text is not a string, or texts and pairs are unlike in number.
        """
        if isinstance(texts, str):
            second = None if pairs is None else [checked_text(pairs, "pairs")]
            return self.predict(unlabelled_table([checked_text(texts, "texts")], second), options)[
                0
            ]
        seconds = None if pairs is None else [checked_text(pair, "pairs") for pair in pairs]
        return self.predict(
            unlabelled_table([checked_text(t, "texts") for t in texts], seconds), options
        )

    def predict(
        self, table: Table, options: ClassifyOptions = ClassifyOptions()
    ) -> list[Classification]:
        """Classify all rows of a table, in order."""
        if not table.texts:
            return []
        examples = self.encode(table)
        return self.results(self.logits(examples, options), examples, options)

    def encode(self, table: Table) -> list[Example]:
        """Tokenize rows, once they are known to be what the model was trained on.

        Raises:
            DataError: If single texts are given to a model of pairs, or the other way round.
        """
        has_pairs = table.pairs is not None
        if self.card.task is not None and has_pairs != self.card.is_pair:
            given, wanted = ("pairs", "single texts") if has_pairs else ("single texts", "pairs")
            remedy = (
                f"leave out the column {table.columns.get('pair', 'of second texts')!r}"
                if has_pairs
                else "name the column of second texts with --pair, or give pairs="
            )
            raise DataError(
                f"{table.source} holds {given}, but the model was trained on {wanted}; {remedy}"
            )
        return self.task.encode(table)

    def stream(
        self, tables: Iterable[Table], options: ClassifyOptions = ClassifyOptions()
    ) -> Iterator[tuple[Table, list[Classification]]]:
        """Classify tables one after the other, holding no more than one."""
        for table in tables:
            yield table, self.predict(table, options)
            give_back_memory()

    def logits(
        self, examples: Sequence[Example], options: ClassifyOptions = ClassifyOptions()
    ) -> torch.Tensor:
        """Give the uncalibrated logits of encoded texts, one row each."""
        return logits_of(
            self.model,
            self.task,
            examples,
            device=self.device,
            precision=self._products,
            tokens_per_batch=options.tokens_per_batch,
        )

    def results(
        self,
        logits: torch.Tensor,
        examples: Sequence[Example],
        options: ClassifyOptions = ClassifyOptions(),
    ) -> list[Classification]:
        """Turn logits into calibrated results."""
        return self.task.decode(
            logits,
            examples,
            temperature=self.card.temperature,
            thresholds=self.card.thresholds,
            threshold=options.threshold,
            top_k=options.top_k,
        )
