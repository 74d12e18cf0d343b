"""Opened models that read texts and give logits: what classifiers and their like share."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import torch

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Example
from zhixing.data.table import Table
from zhixing.errors import CheckpointError
from zhixing.jobs.registry import imported
from zhixing.tasks.batching import Precision, give_back_memory, logits_of, resolved
from zhixing.tasks.inference import checked_text, inference_model, unlabelled_table, usable_device

Result = TypeVar("Result")


class ReadingModel(Generic[Result]):
    """Answer texts by the logits of a classification head, whatever these mean.

    All threads may share one: a call changes nothing but what it returns.

    Args:
        pretrained: Stays as it was; the model in use shares its weights.
        device: cpu, cuda, cuda:N or mps.
        precision: Of the matrix products: float32, bfloat16, float16, int8, or auto for bfloat16
            where it is fast.

    Raises:
        CheckpointError: If the model has no head for a task.
        ConfigError: If device or precision are unknown, or do not go together.
    """

    def __init__(
        self, pretrained: Pretrained, *, device: str = "cpu", precision: Precision = "float32"
    ) -> None:
        if pretrained.config.head != "classification":
            raise CheckpointError(
                f"the model has no classification head (its head is {pretrained.config.head!r}); "
                f"train one with: zhixing train classify --data FILE --model FOLDER --out NEW"
            )
        self.card = pretrained.card
        self.device = usable_device(device)
        self.precision = resolved(precision, self.device)
        self.model, self.products = inference_model(pretrained.model, self.device, self.precision)
        self.pretrained = replace(pretrained, model=self.model)
        self.task = self.make_task()

    def make_task(self) -> Any:
        """Make the task that encodes texts and computes logits."""
        raise NotImplementedError

    def results(
        self, logits: torch.Tensor, examples: Sequence[Example], options: Any = None
    ) -> list[Result]:
        """Turn logits into results."""
        raise NotImplementedError

    def __call__(self, texts: Any, pairs: Any = None, *, options: Any = None) -> Any:
        """Answer one text, or a list in order.

        Args:
            texts: One text gives one result, a list gives a list.
            pairs: The second text of each, where the model was trained on pairs.
            options: How results are made.

        Raises:
            DataError: If a text is not a string, or texts and pairs are unlike in number.
        """
        if isinstance(texts, str):
            second = None if pairs is None else [checked_text(pairs, "pairs")]
            return self.answer(unlabelled_table([checked_text(texts, "texts")], second), options)[0]
        seconds = None if pairs is None else [checked_text(pair, "pairs") for pair in pairs]
        table = unlabelled_table([checked_text(text, "texts") for text in texts], seconds)
        return self.answer(table, options)

    def answer(self, table: Table, options: Any = None) -> list[Result]:
        """Answer all rows of a table, in order."""
        if not table.texts:
            return []
        examples = self.encode(table)
        return self.results(self.logits(examples, options), examples, options)

    def encode(self, table: Table) -> list[Example]:
        """Tokenize rows."""
        return self.task.encode(table)

    def stream(
        self, tables: Iterable[Table], options: Any = None
    ) -> Iterator[tuple[Table, list[Result]]]:
        """Answer tables one after the other, holding no more than one."""
        for table in tables:
            yield table, self.answer(table, options)
            give_back_memory()

    def logits(self, examples: Sequence[Example], options: Any = None) -> torch.Tensor:
        """Give the logits of encoded texts, one row each."""
        return logits_of(
            self.model,
            self.task,
            examples,
            device=self.device,
            precision=self.products,
            tokens_per_batch=getattr(options, "tokens_per_batch", 0),
        )

    def sections(self, text: str, pair: str | None = None) -> list[Any]:
        """Give the sections of a page: the answer, and the attention of every layer and head."""
        return imported("zhixing.jobs.pages:attention_sections")(self, text, pair)
