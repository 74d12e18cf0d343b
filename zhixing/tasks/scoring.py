"""Score given targets by teacher forcing: the log-probability of every token."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from zhixing.data.batch import Example
from zhixing.errors import DataError
from zhixing.tasks.inference import in_order
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask, target_ids, target_of
from zhixing.tasks.writer import TextWriter

# Logits of so many positions are held at once.
MAX_ROWS = 128


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
    writer: TextWriter, sources: Sequence[str], targets: Sequence[str]
) -> list[ScoredPair]:
    """Tell how likely a model holds each target for its source (teacher forcing).

    Raises:
        DataError: If there are unequally many, or a pair is too long for the model.
    """
    examples = forced_examples(writer.task, sources, targets)
    scored = []
    for example, log_probs in zip(
        examples, token_log_probs(writer, writer.task, examples), strict=True
    ):
        pieces = tuple(writer.text_format.target.piece(i) for i in target_ids(example).tolist())
        total = sum(log_probs)
        scored.append(ScoredPair(total / len(log_probs), total, pieces, tuple(log_probs)))
    return scored


def token_log_probs(
    writer: TextWriter, task: SequenceToSequenceTask, examples: Sequence[Example]
) -> list[list[float]]:
    """Give the log-probability of every token of each example's target, its end included."""
    model = writer.model

    def compute(rows: list[int]) -> list[list[float]]:
        batch = task.collate([examples[row] for row in rows]).to(writer.device)
        targets = target_of(batch)
        states = model.decoder_states(batch.input_ids, task.shifted(targets))
        parts = zip(states.split(MAX_ROWS), targets.values.split(MAX_ROWS), strict=True)
        log_probs = torch.cat(
            [
                model.next_logits(some).float().log_softmax(-1).gather(1, ids[:, None])[:, 0]
                for some, ids in parts
            ]
        )
        return batch.by_example(
            [part.tolist() for part in log_probs.cpu().split(list(targets.lengths))]
        )

    sizes = [example.num_tokens for example in examples]
    return in_order(compute, sizes, device=writer.device, precision=writer.products)


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
    sides = (task.text_format.source.ids(list(sources)), task.text_format.target.ids(list(targets)))
    return [
        task.fitting_example(
            source, target, row=number, name=f"pair {number}", remedy="part it into sentences"
        )
        for number, (source, target) in enumerate(zip(*sides, strict=True), start=1)
    ]
