"""Other translations: what else could stand at a place, and several unlike each other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from zhixing.data.batch import Example
from zhixing.errors import ConfigError, DataError
from zhixing.generation.degeneration import max_target_tokens
from zhixing.layers.ragged import Ragged
from zhixing.tasks.batching import mixed_precision
from zhixing.tasks.inference import checked_text
from zhixing.tasks.sequence_to_sequence import generate
from zhixing.tasks.translation.normalization import normalized_punctuation
from zhixing.tasks.translation.result import TranslateOptions
from zhixing.tasks.translation.translator import Translator

MAX_COUNT = 64
# Beams of each variant that is kept apart from the others.
FEWEST_BEAMS = 2


@dataclass(frozen=True)
class Alternative:
    """A token that could stand at a place, and the translation that goes on from it.

    Attributes:
        token: As the vocabulary spells it.
        probability: Of the token at its place.
        text: The whole translation.
        score: Mean log-probability of the tokens from this one on.
    """

    token: str
    probability: float
    text: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return asdict(self)


def alternatives(
    translator: Translator, source: str, *, start: str = "", count: int = 5
) -> list[Alternative]:
    """Give the likeliest tokens after the start of a translation, each with what would follow.

    At the start of a sentence these are translations that differ from the first word on: more
    unlike than the best of a beam, which mostly differ near the end.

    Args:
        translator: The model.
        source: A sentence.
        start: How its translation begins; empty for nothing yet.
        count: How many.

    Returns:
        The likeliest first.

    Raises:
        ConfigError: If `count` is out of range.
        DataError: If the source is blank, or it or the start is too long for the model.
    """
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"count is {count}; it has to lie between 1 and {MAX_COUNT}")
    task, text_format = translator.task, translator.text_format
    ids = text_format.source.ids([checked_text(source, "source")])[0]
    begun = (*text_format.first, *text_format.target.ids([checked_text(start, "start")])[0])
    window = task.window(ids)
    if not ids:
        raise DataError("source is blank; give a sentence")
    if max(len(window), len(begun) + 1) > task.longest:
        raise DataError(
            f"source has {len(window)} tokens and start {len(begun)}, but the model takes "
            f"{task.longest}; give a sentence"
        )
    example = Example((window,), None, 1, len(ids), len(ids))
    tokens, shares = _likeliest(translator, example, begun, count)
    found = generate(
        translator.model,
        task,
        [example] * len(tokens),
        text_format.settings.changed(num_results=1, forced_first_id=None),
        device=translator.device,
        precision=translator.products,
        prefixes=[(*begun[len(text_format.first) :], token) for token in tokens],
    )
    results = []
    for token, share, (best, *_) in zip(tokens, shares, found, strict=True):
        own = best.log_probs[len(begun) + 1 :]
        score = sum(own) / max(len(own), 1)
        piece = text_format.target.piece(token)
        results.append(Alternative(piece, share, text_format.text(best.ids), score))
    return results


@dataclass(frozen=True)
class Variant:
    """One translation of several.

    Attributes:
        text: The whole translation.
        score: Mean log-probability of a token.
    """

    text: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return asdict(self)


def variants(
    translator: Translator,
    source: str,
    *,
    count: int = 5,
    diversity: float = 0.5,
    options: TranslateOptions = TranslateOptions(),
) -> list[Variant]:
    """Give several translations of one sentence.

    Args:
        translator: The model.
        source: A sentence.
        count: How many at most; fewer where the model writes the same again.
        diversity: What a token costs for each other variant that has it at the same place; 0 for
            the likeliest ones, which mostly differ in little.
        options: The languages, and whether punctuation is made plain; the rest is chosen here.

    Returns:
        The likeliest first.

    Raises:
        ConfigError: If `count` or `diversity` is out of range.
        DataError: If the source is blank, or too long for the model.
    """
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"count is {count}; it has to lie between 1 and {MAX_COUNT}")
    before, task = translator.directed(options)
    read = [checked_text(source, "source")]
    if options.normalizes:
        read = normalized_punctuation(read, options.splitting_language)
    ids = translator.text_format.source.ids(read)[0]
    window = task.window([*before, *ids])
    if not ids:
        raise DataError("source is blank; give a sentence")
    if len(window) > task.longest:
        raise DataError(
            f"source has {len(window)} tokens, but the model takes {task.longest}; give a sentence"
        )
    width = FEWEST_BEAMS if diversity else -(-max(count, 2 * FEWEST_BEAMS) // count)
    settings = translator.text_format.settings.changed(
        num_beams=width * count,
        num_groups=count if diversity else 1,
        num_results=width * count,
        diversity_penalty=diversity,
        forced_first_id=None,
    )
    (found,) = generate(
        translator.model,
        task,
        [Example((window,), None, 1, len(ids), len(ids))],
        settings,
        device=translator.device,
        precision=translator.products,
        max_target_tokens=max_target_tokens,
        shortlist=translator.shortlist,
    )
    texts: dict[str, float] = {}
    for one in found:
        score = sum(one.log_probs) / max(len(one.log_probs), 1)
        texts.setdefault(translator.text_format.text(one.ids), score)
    best = [Variant(text, score) for text, score in texts.items() if text][:count]
    return sorted(best, key=lambda one: -one.score)


@torch.inference_mode()
def _likeliest(
    translator: Translator, example: Example, begun: Sequence[int], count: int
) -> tuple[list[int], list[float]]:
    """Give the likeliest tokens after a start, of those the model may write."""
    text_format, device = translator.text_format, translator.device
    read = Ragged.of([torch.from_numpy(example.windows[0].input_ids.astype("int64"))]).to(device)
    written = Ragged.of([torch.tensor([text_format.settings.start_id, *begun])]).to(device)
    with mixed_precision(device, translator.products):
        states = translator.model.decoder_states(read, written)
        logits = translator.model.next_logits(states[-1:])[0].float()
    logits[list(text_format.settings.suppressed_ids)] = -torch.inf
    best = logits.softmax(-1).topk(min(count, len(logits)))
    return best.indices.tolist(), [round(share, 6) for share in best.values.tolist()]
