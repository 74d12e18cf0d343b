"""Texts and text pairs of any length as overlapping windows: what all tasks that read share.

A text longer than the model is read in windows that overlap by an eighth, and what the model says
of its windows is averaged, while training as while predicting.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Batch, Example, Target, Window, filled_up
from zhixing.data.table import Table, checked_text, unlabelled_table
from zhixing.data.windows import covered, pair_bounds, spread, window_bounds
from zhixing.errors import CheckpointError
from zhixing.layers.dropout import Noise
from zhixing.models.transformer import Transformer
from zhixing.tasks.inference import (
    Precision,
    give_back_memory,
    inference_model,
    logits_of,
    resolved,
    usable_device,
)
from zhixing.tokenization.tokenizer import Tokenizer

# Neighbouring windows share an eighth of their tokens.
OVERLAP_SHARE = 8


class TextReader:
    """Tokenize texts, or pairs of texts, and cut the long ones into windows.

    Args:
        tokenizer: The model's.
        max_positions: Tokens the model can read at once; None for no limit.
        max_windows: Windows of one text at most, taken evenly; 0 for all.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, max_positions: int | None, max_windows: int = 0
    ) -> None:
        self.tokenizer = tokenizer
        self.max_positions = max_positions
        self.max_windows = max_windows

    def examples(self, table: Table, targets: Sequence[Target] | None = None) -> list[Example]:
        """Encode all rows, each with its target where there are any."""
        firsts = self.tokenizer.ids(table.texts)
        seconds = None if table.pairs is None else self.tokenizer.ids(table.pairs)
        examples = []
        for i, first in enumerate(firsts):
            second = None if seconds is None else seconds[i]
            windows, read = self._windows(first, second)
            given = len(first) + (0 if second is None else len(second))
            target = None if targets is None else targets[i]
            weight = 1.0 if table.weights is None else table.weights[i]
            examples.append(Example(tuple(windows), target, table.rows[i], given, read, weight))
        return examples

    def filled_up(self, examples: Sequence[Example], multiple: int) -> list[Example]:
        """Add an example that does not count; see `data.batch.filled_up`."""
        return filled_up(examples, multiple)

    def averaged_logits(
        self,
        model: Transformer,
        batch: Batch,
        *,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Float[Tensor, "B C"]:
        """Give the classification head's logits of each text, the mean of its windows'."""
        logits = model.classify(
            batch.input_ids,
            batch.token_type_ids,
            noise=noise,
            gradient_checkpointing=gradient_checkpointing,
        )
        counts = torch.bincount(batch.owners, minlength=len(batch.rows))
        sums = logits.new_zeros(len(batch.rows), logits.size(-1))
        return sums.index_add(0, batch.owners, logits) / counts.to(logits.dtype).unsqueeze(-1)

    def _windows(self, first: list[int], second: list[int] | None) -> tuple[list[Window], int]:
        """Cut one row into windows; also count the tokens that stand in one of them."""
        paired = second is not None
        given = len(first) + (len(second) if second is not None else 0)
        room = given
        if self.max_positions is not None:
            room = self.max_positions - self.tokenizer.num_special(pair=paired)
        if given <= room:
            return [self._window(first, second)], given
        if second is None:
            bounds = window_bounds(given, size=room, overlap=room // OVERLAP_SHARE)
            kept = [bounds[i] for i in self._chosen(len(bounds))]
            return [self._window(first[a:b], None) for a, b in kept], covered(kept)
        pairs = pair_bounds(len(first), len(second), room=room, overlap=room // OVERLAP_SHARE)
        both = [pairs[i] for i in self._chosen(len(pairs))]
        read = sum(covered(sorted({pair[side] for pair in both})) for side in (0, 1))
        return [self._window(first[a:b], second[c:d]) for (a, b), (c, d) in both], read

    def _chosen(self, count: int) -> list[int]:
        return spread(count, at_most=self.max_windows or count)

    def _window(self, first: list[int], second: list[int] | None) -> Window:
        wrapped = self.tokenizer.wrap(first, second)
        types = wrapped.token_type_ids
        return Window(
            numpy.asarray(wrapped.input_ids, dtype=numpy.int32),
            numpy.asarray(types, dtype=numpy.int32) if any(types) else None,
        )


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
