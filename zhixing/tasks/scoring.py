"""What a model thinks of targets that are given: how likely each token is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy
import torch

from zhixing.data.batch import Example
from zhixing.errors import DataError
from zhixing.layers.ragged import Ragged
from zhixing.tasks.batching import in_order
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask
from zhixing.tasks.translation.translator import Translator

# Logits of so many positions are held at once.
ROWS = 128


@dataclass(frozen=True)
class ScoredPair:
    """What a model thinks of a target.

    Attributes:
        score: Mean log-probability of a token, the end counted.
        total: Log-probability of the whole target.
        tokens: The target's tokens as the vocabulary spells them, the end last.
        log_probs: One a token.
    """

    score: float
    total: float
    tokens: tuple[str, ...]
    log_probs: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return asdict(self)


def score_pairs(
    translator: Translator, sources: Sequence[str], targets: Sequence[str]
) -> list[ScoredPair]:
    """Tell how likely a model holds each target for its source.

    Raises:
        DataError: If there are unequally many, or a pair is too long for the model.
    """
    examples = forced_examples(translator.task, sources, targets)
    model, task = translator.model, translator.task

    def compute(rows: list[int]) -> list[list[float]]:
        batch = task.collate([examples[row] for row in rows]).to(translator.device)
        outputs = outputs_of(batch.output_ids)
        states = model.decoder_states(batch.input_ids, task.shifted(outputs))
        found = torch.cat(
            [
                model.next_logits(some).float().log_softmax(-1).gather(1, ids[:, None])[:, 0]
                for some, ids in zip(states.split(ROWS), outputs.values.split(ROWS), strict=True)
            ]
        )
        own = [part.tolist() for part in found.cpu().split(list(outputs.lengths))]
        return batch.by_example(own)

    found = in_order(
        compute,
        [example.num_tokens for example in examples],
        device=translator.device,
        precision=translator.products,
    )
    text_format = translator.text_format
    scored = []
    for example, own in zip(examples, found, strict=True):
        ids = [] if example.output_ids is None else example.output_ids.tolist()
        pieces = tuple(text_format.target.piece(i) for i in ids)
        scored.append(ScoredPair(sum(own) / len(own), sum(own), pieces, tuple(own)))
    return scored


def forced_examples(
    task: SequenceToSequenceTask, sources: Sequence[str], targets: Sequence[str]
) -> list[Example]:
    """Encode pairs; each has to fit the model.

    Raises:
        DataError: If there are unequally many, or a pair is too long.
    """
    if len(sources) != len(targets):
        raise DataError(
            f"there are {len(sources)} sources and {len(targets)} targets; give one for each"
        )
    text_format = task.text_format
    read, written = text_format.source.ids(list(sources)), text_format.target.ids(list(targets))
    examples = []
    for number, (ids, output) in enumerate(zip(read, written, strict=True), start=1):
        window = task.window(ids)
        whole = numpy.asarray([*text_format.first, *output, text_format.end_id], dtype=numpy.int32)
        if max(len(window), len(whole)) > task.longest:
            raise DataError(
                f"pair {number} has {len(window)} and {len(whole)} tokens, but the model takes "
                f"{task.longest} on a side; part it into sentences"
            )
        examples.append(Example((window,), None, number, len(ids), len(ids), 1.0, whole))
    return examples


def outputs_of(outputs: Ragged | None) -> Ragged:
    """Give what a batch is to write.

    Raises:
        DataError: If it has nothing to write.
    """
    if outputs is None:
        raise DataError("these rows have no targets; give pairs")
    return outputs
