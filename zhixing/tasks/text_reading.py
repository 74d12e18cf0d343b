"""Texts and text pairs of any length as overlapping windows: what all tasks that read share.

A text longer than the model is read in windows that overlap by an eighth, and what the model says
of its windows is averaged, while training as while predicting.
"""

from collections.abc import Sequence

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.data.batch import Batch, Example, Target, Window, filled_up
from zhixing.data.table import Table
from zhixing.data.windows import covered, pair_bounds, spread, window_bounds
from zhixing.layers.dropout import Noise
from zhixing.models.transformer import Transformer
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
