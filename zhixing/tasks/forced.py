"""What a model thinks of given targets: how likely each token is, which words go together."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.data.batch import Batch, Example
from zhixing.errors import DataError
from zhixing.inspection.recorder import recording
from zhixing.layers.ragged import Ragged
from zhixing.models.packing import twin_of
from zhixing.models.transformer import Transformer
from zhixing.tasks.running import each_batch
from zhixing.tasks.text_to_text import TextToTextTask
from zhixing.tasks.translation import Translator

# Logits of so many positions are held at once.
ROWS = 128
# A word with its apostrophes and hyphens, a character of a script without spaces, or a sign.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+(?:[-_][^\W_]+)*['’]?|[^\w\s]|_")


@dataclass(frozen=True)
class Link:
    """Two words that go together.

    Attributes:
        source, target: Numbers of the words, from 0.
        weight: Share of the target word's attention that the source word has.
    """

    source: int
    target: int
    weight: float


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


@dataclass(frozen=True)
class Alignment:
    """Which words of a pair go together.

    Attributes:
        source, target: The words of both sides.
        links: For each word of the target the one of the source that it attends to most.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: tuple[Link, ...]

    def __str__(self) -> str:
        """Give the links as "0-0 1-2", source first, as alignment tools write them."""
        return " ".join(f"{link.source}-{link.target}" for link in self.links)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return {**asdict(self), "pharaoh": str(self)}


def score_pairs(
    translator: Translator, sources: Sequence[str], targets: Sequence[str]
) -> list[ScoredPair]:
    """Tell how likely a model holds each target for its source.

    Raises:
        DataError: If there are unequally many, or a pair is too long for the model.
    """
    examples = _examples(translator.task, sources, targets)
    model, task = translator.model, translator.task

    def compute(rows: list[int]) -> list[list[float]]:
        batch = task.collate([examples[row] for row in rows]).to(translator.device)
        outputs = _outputs(batch.output_ids)
        states = model.write(batch.input_ids, task.shifted(outputs))
        found = torch.cat(
            [
                model.next_logits(some).float().log_softmax(-1).gather(1, ids[:, None])[:, 0]
                for some, ids in zip(states.split(ROWS), outputs.values.split(ROWS), strict=True)
            ]
        )
        own = [part.tolist() for part in found.cpu().split(list(outputs.lengths))]
        return _unsorted(own, batch)

    found = _in_order(translator, examples, compute)
    voice = translator.voice
    scored = []
    for example, own in zip(examples, found, strict=True):
        ids = [] if example.output_ids is None else example.output_ids.tolist()
        pieces = tuple(voice.target.piece(i) for i in ids)
        scored.append(ScoredPair(sum(own) / len(own), sum(own), pieces, tuple(own)))
    return scored


def align_pairs(
    translator: Translator, sources: Sequence[str], targets: Sequence[str]
) -> list[Alignment]:
    """Tell which words of sources and targets go together, by the decoder's cross-attention.

    Each target is read in one pass. A word's attention is that of the step which writes it, the
    mean of all heads of the last layer but one, or of the last of two. (On words that are spelled
    alike on both sides this was right in 76 % with four layers and in 85 % with two; other layers,
    and the step that reads the word instead, were right less often.)

    Raises:
        DataError: If there are unequally many, or a pair is too long for the model.

    Source:
        Garg et al. 2019, "Jointly learning to align and translate with Transformer models",
        arXiv:1909.02074, section 3.1 (the penultimate layer).
    """
    examples = _examples(translator.task, sources, targets)
    # Hooks are hung on a copy, so that nobody else's work is recorded.
    model = twin_of(translator.model)
    task, voice = translator.task, translator.voice
    lock = Lock()

    def compute(rows: list[int]) -> list[Float[Tensor, "U T"]]:
        batch = task.collate([examples[row] for row in rows]).to(translator.device)
        # Hooks know no threads.
        with lock:
            return _unsorted(_attention(model, task, batch), batch)

    weights = _in_order(translator, examples, compute)
    results = []
    for source, target, example, matrix in zip(sources, targets, examples, weights, strict=True):
        read, written = voice.source.tokens(source), voice.target.tokens(target)
        first = _place(example.windows[0].input_ids.tolist(), read.ids)
        kept = matrix[len(voice.first) :][: len(written.ids), first : first + len(read.ids)]
        results.append(_aligned(source, target, read.offsets, written.offsets, kept))
    return results


def _attention(
    model: Transformer, task: TextToTextTask, batch: Batch
) -> list[Float[Tensor, "U T"]]:
    if model.decoder is None:
        raise DataError("the model has no decoder, and so no attention to what was read")
    blocks = model.decoder.blocks
    block = blocks[len(blocks) - (2 if len(blocks) > 2 else 1)]
    with recording(block, "cross_attention.weights") as found:
        model.write(batch.input_ids, task.shifted(_outputs(batch.output_ids)))
    (weights,) = found.values()
    return [own.float().mean(0) for own in weights]


def _unsorted(found: Sequence[Any], batch: Batch) -> list[Any]:
    """Bring what was found of a batch's windows into the order of its examples."""
    places = {owner: place for place, owner in enumerate(batch.owners.tolist())}
    return [found[places[number]] for number in range(len(found))]


def _aligned(
    source: str,
    target: str,
    read: Sequence[tuple[int, int]],
    written: Sequence[tuple[int, int]],
    weights: Float[Tensor, "U T"],
) -> Alignment:
    sides = [list(WORD.finditer(text)) for text in (source, target)]
    columns, lines = (
        _membership(words, offsets) for words, offsets in zip(sides, (read, written), strict=True)
    )
    of_words = (lines / lines.sum(1, keepdim=True).clamp_min(1)) @ weights @ columns.T
    shares = of_words / of_words.sum(1, keepdim=True).clamp_min(1e-9)
    links = []
    for number, row in enumerate(shares if len(sides[0]) else []):
        weight, best = row.max(0)
        if float(weight) > 0:
            links.append(Link(int(best), number, round(float(weight), 4)))
    words = [tuple(word[0] for word in side) for side in sides]
    return Alignment(words[0], words[1], tuple(links))


def _membership(
    words: Sequence[re.Match[str]], offsets: Sequence[tuple[int, int]]
) -> Float[Tensor, "W T"]:
    """Tell which tokens stand in which word."""
    found = torch.zeros(len(words), len(offsets))
    for number, word in enumerate(words):
        for place, (start, end) in enumerate(offsets):
            if start < word.end() and end > word.start():
                found[number, place] = 1
    return found


def _examples(
    task: TextToTextTask, sources: Sequence[str], targets: Sequence[str]
) -> list[Example]:
    if len(sources) != len(targets):
        raise DataError(
            f"there are {len(sources)} sources and {len(targets)} targets; give one for each"
        )
    voice = task.voice
    read, written = voice.source.ids(list(sources)), voice.target.ids(list(targets))
    examples = []
    for number, (ids, output) in enumerate(zip(read, written, strict=True), start=1):
        window = task.window(ids)
        whole = numpy.asarray([*voice.first, *output, voice.end_id], dtype=numpy.int32)
        if max(len(window), len(whole)) > task.longest:
            raise DataError(
                f"pair {number} has {len(window)} and {len(whole)} tokens, but the model takes "
                f"{task.longest} on a side; part it into sentences"
            )
        examples.append(Example((window,), None, number, len(ids), len(ids), 1.0, whole))
    return examples


def _in_order(translator: Translator, examples: Sequence[Example], compute: Any) -> list[Any]:
    found: list[Any] = [None] * len(examples)
    sizes = [example.num_tokens for example in examples]
    parts = each_batch(compute, sizes, device=translator.device, precision=translator.products)
    for rows, results in parts:
        for row, own in zip(rows, results, strict=True):
            found[row] = own
    return found


def _place(whole: Sequence[int], part: Sequence[int]) -> int:
    """Find where the tokens of a text stand in what is read."""
    size = len(part)
    return next(i for i in range(len(whole) - size, -1, -1) if list(whole[i : i + size]) == part)


def _outputs(outputs: Ragged | None) -> Ragged:
    if outputs is None:
        raise DataError("these rows have no targets; give pairs")
    return outputs
