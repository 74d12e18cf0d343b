"""Sequence-to-sequence: translation, summarization; one text in, one text out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy
import torch
from jaxtyping import Int32
from numpy import ndarray

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.batch import Batch, Example, Window, filled_up, joined_ids, lay_out
from zhixing.data.table import Table
from zhixing.errors import DataError
from zhixing.generation.search import search
from zhixing.generation.selection import Hypothesis
from zhixing.generation.settings import SearchSettings, read_settings
from zhixing.generation.shortlist import Shortlist, search_within
from zhixing.layers.dropout import Noise
from zhixing.layers.kernels.cross_entropy import vocabulary_loss
from zhixing.layers.ragged import Ragged, starts
from zhixing.models.transformer import Transformer
from zhixing.tasks.inference import in_order
from zhixing.tasks.task import Loss
from zhixing.tokenization.tokenizer import Tokenizer

# A pair with more tokens than this on one side is no sentence, and would cost more than it tells.
LONGEST = 1024
# Sentences that are written side by side: more of them share the cost of a step. The cores share
# each batch: a step is hundreds of small calls, and threads with a batch each would wait for one
# another at every one of them (Python lets one thread speak at a time; measured, that is a fifth).
CPU_TOKENS, MOST_CPU_TOKENS = 2048, 8192
# A small model's step is soon done, and more sentences share its cost: as many as this cache holds.
CACHE_BYTES = 32 << 20
ACCELERATOR_TOKENS = 16384


@dataclass(frozen=True)
class TextFormat:
    """Hold the tokenizers of both sides and the special tokens around source and target.

    Attributes:
        source: Tokenizer of what is read.
        target: Tokenizer of what is written.
        settings: How it searches, unless told otherwise.
        first: Tokens with which everything that is written begins (a language's code).
        reads: Instead of the first token around a text that is read, the second: another language.
    """

    source: Tokenizer
    target: Tokenizer
    settings: SearchSettings
    first: tuple[int, ...] = ()
    reads: tuple[int, int] | None = None

    @property
    def end_id(self) -> int:
        """Give the token that ends what is written."""
        return self.settings.end_ids[0]

    def text(self, ids: Sequence[int]) -> str:
        """Give the text of tokens that were written."""
        return self.target.decode(ids).strip()


def text_format_of(pretrained: Pretrained) -> TextFormat:
    """Tell how a model reads and writes, by what its folder says.

    Raises:
        ConfigError: If the folder does not say how to start and end.
    """
    settings = read_settings(pretrained.values, pretrained.generation)
    first = () if settings.forced_first_id is None else (settings.forced_first_id,)
    target = pretrained.target_tokenizer or pretrained.tokenizer
    return TextFormat(pretrained.tokenizer, target, settings, first=first)


class SequenceToSequenceTask:
    """Learn to write one text about another.

    Args:
        text_format: How the model reads and writes.
        max_positions: Tokens the model can read or write; None for no limit.
        label_smoothing: Share of the target spread over the vocabulary.
    """

    def __init__(
        self, text_format: TextFormat, *, max_positions: int | None, label_smoothing: float = 0.0
    ) -> None:
        self.text_format = text_format
        self.longest = min(max_positions or LONGEST, LONGEST)
        self.label_smoothing = label_smoothing

    def encode(self, table: Table) -> list[Example]:
        """Tokenize rows; a pair that is too long for the model is left out, and can be counted.

        Raises:
            DataError: If a row is left that has no token on one side.
        """
        sources = self.text_format.source.ids(table.texts)
        targets = None if table.targets is None else self.text_format.target.ids(table.targets)
        examples = []
        for i, ids in enumerate(sources):
            output = None
            if targets is not None:
                written = [*self.text_format.first, *targets[i], self.text_format.end_id]
                output = numpy.asarray(written, dtype=numpy.int32)
            window = self.window(ids)
            if max(len(window), 0 if output is None else len(output)) > self.longest:
                continue
            weight = 1.0 if table.weights is None else table.weights[i]
            examples.append(Example((window,), output, table.rows[i], len(ids), len(ids), weight))
        return examples

    def fitting_example(
        self,
        source_ids: Sequence[int],
        target_ids: Sequence[int] | None = None,
        *,
        row: int = 1,
        name: str = "source",
        remedy: str = "give a sentence",
    ) -> Example:
        """Encode one text, and what is written about it so far or at last, that has to fit.

        Args:
            source_ids: Tokens of what is read, a language's code first where there is one.
            target_ids: Tokens of what is written, without those of the format.
            row: Its number.
            name: What it is called if it is refused.
            remedy: What to do then.

        Raises:
            DataError: If one side is longer than the model takes.
        """
        window = self.window(source_ids)
        target, told = None, f"{len(window)} tokens"
        if target_ids is not None:
            ids = [*self.text_format.first, *target_ids, self.text_format.end_id]
            target = numpy.asarray(ids, dtype=numpy.int32)
            told = f"{len(window)} and {len(target)} tokens"
        if max(len(window), 0 if target is None else len(target)) > self.longest:
            raise DataError(
                f"{name} has {told}, but the model takes {self.longest} on a side; {remedy}"
            )
        return Example((window,), target, row, len(source_ids), len(source_ids))

    def written_example(self, source_ids: Sequence[int], ids: Sequence[int]) -> Example:
        """Join a source to token ids exactly as the model wrote them, to be scored."""
        target = numpy.asarray(ids, dtype=numpy.int32)
        return Example((self.window(source_ids),), target, 1, len(source_ids), len(source_ids))

    def window(self, ids: Sequence[int]) -> Window:
        """Give what the model reads of a text's tokens."""
        text_format = self.text_format
        wrapped = text_format.source.wrap(ids).input_ids
        if text_format.reads is not None:
            # It may be spelled in the text, too: what stands around nothing tells the side.
            usual, told = text_format.reads
            is_first = text_format.source.wrap([]).input_ids[0] == usual
            place = 0 if is_first else len(wrapped) - 1 - wrapped[::-1].index(usual)
            wrapped = [*wrapped[:place], told, *wrapped[place + 1 :]]
        return Window(numpy.asarray(wrapped, dtype=numpy.int32), None)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Lay examples end to end, what is to be written beside them, window by window."""
        if examples[0].target is None:
            return lay_out(examples)
        batch = lay_out(examples, then_by=lambda example: -len(target_ids(example)))
        targets = [target_ids(examples[owner]) for owner in batch.owners.tolist()]
        return replace(batch, target=Ragged(joined_ids(targets), tuple(map(len, targets))))

    def filled_up(self, examples: Sequence[Example], multiple: int) -> list[Example]:
        """Fill up what is read and what is written, each by itself, with pairs that do not count.

        See `data.batch.filled_up`.
        """
        if examples[0].target is None:
            return filled_up(examples, multiple)
        filled = list(examples)
        source = max((example.windows[0] for example in examples), key=len)
        target = max(map(target_ids, examples), key=len)
        missing_in = -sum(example.tokens_in for example in examples) % multiple
        missing_out = -sum(len(target_ids(example)) for example in examples) % multiple
        if not (missing_in or missing_out):
            return filled
        # A pair has something on both sides, and no more than the longest that were there.
        count = max(-(-missing_in // len(source)), -(-missing_out // len(target)))
        if not (missing_in and missing_out) or min(missing_in, missing_out) < count:
            missing_in, missing_out = missing_in + multiple, missing_out + multiple
            count = max(-(-missing_in // len(source)), -(-missing_out // len(target)))
        if min(missing_in, missing_out) < count:
            return filled
        for i in range(count):
            shares = [(n * (i + 1)) // count - (n * i) // count for n in (missing_in, missing_out)]
            window, ids = source.cut(shares[0]), target[: shares[1]]
            filled.append(replace(examples[0], windows=(window,), target=ids, weight=0.0))
        return filled

    def weight(self, batch: Batch) -> float:
        """Count the tokens to be written, each by its row's weight."""
        outputs = target_of(batch)
        if batch.weights is None:
            return float(len(outputs.values))
        counts = torch.tensor(outputs.lengths, dtype=torch.float64)
        return float((batch.weights[batch.owners].cpu().double() * counts).sum())

    def loss(
        self,
        model: Transformer,
        batch: Batch,
        *,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Loss:
        """Compute the summed cross-entropy of every token to be written."""
        weight = self.weight(batch)
        outputs = target_of(batch)
        before = self.shifted(outputs)
        states = model.decoder_states(
            batch.input_ids, before, noise=noise, gradient_checkpointing=gradient_checkpointing
        )
        row_weights = None
        if batch.weights is not None:
            counts = torch.tensor(outputs.lengths, device=states.device)
            row_weights = batch.weights[batch.owners].repeat_interleave(counts)
        head = model.head_of_next()
        total = vocabulary_loss(
            states * head.scale if head.scale != 1.0 else states,
            head.output.weight,
            head.output.bias,
            outputs.values,
            row_weights=row_weights,
            smoothing=self.label_smoothing,
        )
        return Loss(total, weight)

    def shifted(self, outputs: Ragged) -> Ragged:
        """Give what the decoder has read when it writes each token: the start, then the others."""
        values = outputs.values.roll(1)
        first = torch.tensor(starts(outputs.lengths), device=values.device)
        values[first] = self.text_format.settings.start_id
        return Ragged(values, outputs.lengths)


@dataclass(frozen=True)
class Constraints:
    """What results have to begin with and may hold, beyond what a search's settings say.

    Attributes:
        prefixes: How each result has to begin; none to leave it to the model.
        max_target_tokens: How long a result may become, by the tokens of the longest example
            beside it.
        shortlist: Which tokens may be written about which; None for all about all.
    """

    prefixes: Sequence[Sequence[int]] = ()
    max_target_tokens: Callable[[int], int] | None = None
    shortlist: Shortlist | None = None

    def limited(self, settings: SearchSettings, longest: int, room: int | None) -> SearchSettings:
        """Bound the length of results by that of what is read, and by the model's positions."""
        limits = [settings.max_new_tokens]
        limits += [] if self.max_target_tokens is None else [self.max_target_tokens(longest)]
        limits += [] if room is None else [room]
        most = min(limits)
        return settings.changed(
            max_new_tokens=most, min_new_tokens=min(settings.min_new_tokens, most)
        )


def generate(
    model: Transformer,
    task: SequenceToSequenceTask,
    examples: Sequence[Example],
    settings: SearchSettings,
    *,
    device: torch.device,
    precision: str = "float32",
    constraints: Constraints = Constraints(),
) -> list[list[Hypothesis]]:
    """Write about all examples.

    Args:
        model: On `device`.
        task: Knows how to lay examples out.
        examples: In any order; those of like length are written side by side.
        settings: How to search.
        device: Where to compute.
        precision: Of the matrix products.
        constraints: What results have to begin with and may hold.

    Returns:
        For each example its best hypotheses, in the order of the examples.
    """

    def compute(rows: list[int]) -> list[list[Hypothesis]]:
        inputs = Ragged.of(
            torch.from_numpy(examples[row].windows[0].input_ids.astype(numpy.int64)) for row in rows
        )
        room = model.config.max_positions
        limited = constraints.limited(settings, max(inputs.lengths), room)
        first, prefixes = task.text_format.first, constraints.prefixes
        begun = [first + tuple(prefixes[row]) if prefixes else first for row in rows]
        placed = inputs.to(device)
        if constraints.shortlist is not None:
            ids = constraints.shortlist.ids_for(inputs.values)
            return search_within(model, placed, limited, ids, prefixes=begun, device=device)
        return search(model, placed, limited, sequences=len(rows), prefixes=begun, device=device)

    sizes = [example.tokens_in for example in examples]
    return in_order(
        compute,
        sizes,
        device=device,
        precision=precision,
        budget=_budget(sizes, model, device),
        side_by_side=False,
    )


def _budget(sizes: Sequence[int], model: Transformer, device: torch.device) -> int:
    """Tell how many tokens to read at once, so that all batches have as much to do."""
    if device.type != "cpu":
        return ACCELERATOR_TOKENS
    config = model.config
    fit = CACHE_BYTES // (8 * max(config.decoder_layers, 1) * config.hidden_size)
    rounds = max(-(-sum(sizes) // min(max(fit, CPU_TOKENS), MOST_CPU_TOKENS)), 1)
    share = -(-sum(sizes) // rounds)
    # The longest of a batch may not fit any more, and would be left to a batch of its own.
    return share + max(sizes, default=0)


def target_of(batch: Batch) -> Ragged:
    """Give the token ids that a batch is to write, in the order of its windows.

    Raises:
        DataError: If it has nothing to write.
    """
    if not isinstance(batch.target, Ragged):
        raise DataError("these rows have no targets; give a table of pairs")
    return batch.target


def target_ids(example: Example) -> Int32[ndarray, " U"]:
    """Give the token ids that an example is to write, its end included.

    Raises:
        DataError: If it has none.
    """
    if not isinstance(example.target, ndarray):
        raise DataError(f"row {example.row} has no target; give a table with targets")
    return example.target
