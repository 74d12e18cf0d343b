"""Other translations: what else could stand at a place, and several unlike each other."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from zhixing.data.batch import Example
from zhixing.errors import ConfigError
from zhixing.generation.degeneration import max_target_tokens
from zhixing.layers.ragged import Ragged
from zhixing.tasks.inference import mixed_precision
from zhixing.tasks.sequence_to_sequence import target_ids
from zhixing.tasks.translation.result import TranslateOptions
from zhixing.tasks.translation.translator import Translator

MAX_COUNT = 64
# Beams of each variant that is kept apart from the others.
MIN_BEAMS_A_VARIANT = 2


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
    translator: Translator,
    source: str,
    *,
    start: str = "",
    count: int = 5,
    options: TranslateOptions = TranslateOptions(),
) -> list[Alternative]:
    """Give the likeliest tokens after the start of a translation, each with what would follow.

    At the start of a sentence these are translations that differ from the first word on: more
    unlike than the best of a beam, which mostly differ near the end.

    Args:
        translator: The model.
        source: A sentence.
        start: How its translation begins; empty for nothing yet.
        count: How many.
        options: The languages, and whether punctuation is made plain; the rest is chosen here.

    Returns:
        The likeliest first.

    Raises:
        ConfigError: If `count` is out of range.
        DataError: If the source is blank, or it or the start is too long for the model.
    """
    _check_count(count)
    sources, example = translator.prepare_sentence(source, options, start)
    text_format = sources.task.text_format
    begun = tuple(target_ids(example).tolist()[:-1])
    tokens, shares = _likeliest(translator, example, begun, count)
    written = translator.generate(
        sources.task,
        [replace(example, target=None)] * len(tokens),
        text_format.settings.changed(num_results=1, forced_first_id=None),
        prefixes=[(*begun[len(text_format.first) :], token) for token in tokens],
    )
    results = []
    for token, share, (best, *_) in zip(tokens, shares, written, strict=True):
        log_probs = best.log_probs[len(begun) + 1 :]
        score = sum(log_probs) / max(len(log_probs), 1)
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
    _check_count(count)
    sources, example = translator.prepare_sentence(source, options)
    width = MIN_BEAMS_A_VARIANT
    if not diversity:
        width = -(-max(count, 2 * MIN_BEAMS_A_VARIANT) // count)
    settings = translator.text_format.settings.changed(
        num_beams=width * count,
        num_groups=count if diversity else 1,
        num_results=width * count,
        diversity_penalty=diversity,
        forced_first_id=None,
    )
    (hypotheses,) = translator.generate(
        sources.task,
        [replace(example, target=None)],
        settings,
        max_target_tokens=max_target_tokens,
    )
    texts: dict[str, float] = {}
    for hypothesis in hypotheses:
        score = sum(hypothesis.log_probs) / max(len(hypothesis.log_probs), 1)
        texts.setdefault(translator.text_format.text(hypothesis.ids), score)
    best = [Variant(text, score) for text, score in texts.items() if text][:count]
    return sorted(best, key=lambda variant: -variant.score)


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"count is {count}; it has to lie between 1 and {MAX_COUNT}")


@torch.inference_mode()
def _likeliest(
    translator: Translator, example: Example, begun: Sequence[int], count: int
) -> tuple[list[int], list[float]]:
    """Give the likeliest tokens after a start, of those the model may write."""
    settings, device = translator.text_format.settings, translator.device
    input_ids = torch.from_numpy(example.windows[0].input_ids.astype("int64"))
    source = Ragged.of([input_ids]).to(device)
    target = Ragged.of([torch.tensor([settings.start_id, *begun])]).to(device)
    with mixed_precision(device, translator.products):
        states = translator.model.decoder_states(source, target)
        logits = translator.model.next_logits(states[-1:])[0].float()
    if translator.shortlist is not None:
        allowed = translator.shortlist.ids_for(input_ids).to(device)
        logits = torch.full_like(logits, -torch.inf).index_copy(0, allowed, logits[allowed])
    logits[list(settings.suppressed_ids)] = -torch.inf
    best = logits.softmax(-1).topk(min(count, int(logits.isfinite().sum())))
    return best.indices.tolist(), [round(share, 6) for share in best.values.tolist()]
