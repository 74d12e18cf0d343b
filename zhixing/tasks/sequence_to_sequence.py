"""Texts about texts: translation, summarization; one text in, one text out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
import torch

from zhixing.data.batch import Batch, Example, Window, lay_out
from zhixing.data.table import Table
from zhixing.errors import DataError
from zhixing.generation.search import search
from zhixing.generation.selection import Hypothesis
from zhixing.generation.settings import SearchSettings
from zhixing.generation.shortlist import Shortlist, search_within
from zhixing.layers.dropout import Noise
from zhixing.layers.kernels.cross_entropy import vocabulary_loss
from zhixing.layers.ragged import Ragged, starts
from zhixing.metrics.bleu import text_scores
from zhixing.models.transformer import Transformer
from zhixing.tasks.batching import each_batch, in_order
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
    """How a model reads and writes: its tokenizers and the tokens around texts.

    Attributes:
        source: Of what is read.
        target: Of what is written.
        settings: How it searches, unless told otherwise.
        before: Tokens that stand before every text that is read (T5's task, a language's code).
        first: Tokens with which everything that is written begins (a language's code).
        reads: Instead of the first token around a text that is read, the second: another language.
    """

    source: Tokenizer
    target: Tokenizer
    settings: SearchSettings
    before: tuple[int, ...] = ()
    first: tuple[int, ...] = ()
    reads: tuple[int, int] | None = None

    @property
    def end_id(self) -> int:
        """Give the token that ends what is written."""
        return self.settings.end_ids[0]

    def text(self, ids: Sequence[int]) -> str:
        """Give the text of tokens that were written."""
        return self.target.decode(ids).strip()


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
            row = table.rows[i]
            examples.append(Example((window,), None, row, len(ids), len(ids), weight, output))
        return examples

    def window(self, ids: Sequence[int]) -> Window:
        """Give what the model reads of a text's tokens."""
        text_format = self.text_format
        wrapped = text_format.source.wrap([*text_format.before, *ids]).input_ids
        if text_format.reads is not None:
            # It may be spelled in the text, too: what stands around nothing tells the side.
            usual, told = text_format.reads
            is_first = text_format.source.wrap([]).input_ids[0] == usual
            place = 0 if is_first else len(wrapped) - 1 - wrapped[::-1].index(usual)
            wrapped = [*wrapped[:place], told, *wrapped[place + 1 :]]
        return Window(numpy.asarray(wrapped, dtype=numpy.int32), None)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Lay examples end to end, what is to be written beside them."""
        return lay_out(examples, None)

    def weight(self, batch: Batch) -> float:
        """Count the tokens to be written, each by its row's weight."""
        outputs = _outputs(batch)
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
        outputs = _outputs(batch)
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

    def evaluate(
        self,
        model: Transformer,
        examples: Sequence[Example],
        table: Table,
        *,
        device: torch.device,
        precision: str,
    ) -> dict[str, float]:
        """Compute the loss without smoothing, and BLEU and chrF of what is written greedily."""
        references = dict(zip(table.rows, table.targets or [], strict=True))
        found = generate(
            model,
            self,
            examples,
            self.text_format.settings.with_beams(1),
            device=device,
            precision=precision,
        )
        texts = [self.text_format.text(own[0].ids) for own in found]
        scores = text_scores(texts, [references[example.row] for example in examples])
        loss = self._mean_loss(model, examples, device=device, precision=precision)
        return {"loss": loss, "bleu": scores.bleu, "chrf": scores.chrf}

    def _mean_loss(
        self,
        model: Transformer,
        examples: Sequence[Example],
        *,
        device: torch.device,
        precision: str,
    ) -> float:
        plain = SequenceToSequenceTask(self.text_format, max_positions=self.longest)

        def compute(rows: list[int]) -> tuple[float, float]:
            batch = plain.collate([examples[row] for row in rows]).to(device)
            loss = plain.loss(model, batch)
            return float(loss.total), loss.weight

        sizes = [example.num_tokens for example in examples]
        parts = each_batch(compute, sizes, device=device, precision=precision)
        return sum(total for _, (total, _) in parts) / sum(weight for _, (_, weight) in parts)


def generate(
    model: Transformer,
    task: SequenceToSequenceTask,
    examples: Sequence[Example],
    settings: SearchSettings,
    *,
    device: torch.device,
    precision: str = "float32",
    prefixes: Sequence[Sequence[int]] = (),
    max_target_tokens: Callable[[int], int] | None = None,
    shortlist: Shortlist | None = None,
) -> list[list[Hypothesis]]:
    """Write about all examples.

    Args:
        model: On `device`.
        task: Knows how to lay examples out.
        examples: In any order; those of like length are written side by side.
        settings: How to search.
        device: Where to compute.
        precision: Of the matrix products.
        prefixes: How each result has to begin; none to leave it to the model.
        max_target_tokens: How long a result may become, by the tokens of the longest example
            beside it.
        shortlist: Which tokens may be written about which; None for all about all.

    Returns:
        For each example its best hypotheses, in the order of the examples.
    """

    def compute(rows: list[int]) -> list[list[Hypothesis]]:
        inputs = Ragged.of(
            torch.from_numpy(examples[row].windows[0].input_ids.astype(numpy.int64)) for row in rows
        )
        limited = settings
        if max_target_tokens is not None:
            most = max_target_tokens(max(inputs.lengths))
            limited = settings.changed(max_new_tokens=min(settings.max_new_tokens, most))
        begun = [
            task.text_format.first + tuple(prefixes[row]) if prefixes else task.text_format.first
            for row in rows
        ]
        placed = inputs.to(device)
        if shortlist is not None:
            ids = shortlist.ids_for(inputs.values)
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


def _outputs(batch: Batch) -> Ragged:
    if batch.output_ids is None:
        raise DataError("these rows have no targets, and a loss needs them; give a table of pairs")
    return batch.output_ids
