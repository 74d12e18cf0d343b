"""Rules over the logits of the next token, and signs that what was written is no answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from zhixing.generation.settings import SearchSettings


@dataclass
class Rules:
    """Change the logits of the next token by the rules of a search.

    Attributes:
        settings: Of the search.
        prompts: What each sequence began with; repetition counts from there.
        prefixes: How each sequence has to begin; empty for no matter how.
        suppressed: Token ids that are never chosen.
    """

    settings: SearchSettings
    prompts: list[tuple[int, ...]]
    prefixes: list[tuple[int, ...]]
    suppressed: Int[Tensor, " S"] = field(init=False)

    def __post_init__(self) -> None:
        self.suppressed = torch.tensor(self.settings.suppressed_ids, dtype=torch.int64)

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences."""
        self.prompts = [self.prompts[i] for i in order]
        self.prefixes = [self.prefixes[i] for i in order]

    def forced(self, position: int) -> Bool[Tensor, " B"]:
        """Tell of which sequences the token at a position is no choice of the model's."""
        settings = self.settings
        is_first = position == 0 and settings.forced_first_id is not None
        is_last = position == settings.max_new_tokens - 1 and settings.forced_last_id is not None
        return torch.tensor(
            [is_first or is_last or position < len(prefix) for prefix in self.prefixes]
        )

    def only_forbid(self, position: int) -> bool:
        """Tell whether nothing but forbidding tokens is to be done at a position.

        What is forbidden is so in logits as in log-probabilities; a penalty or a forced token's 0
        means something else in each.
        """
        has_penalty = self.settings.repetition_penalty != 1.0
        return not (has_penalty or bool(self.forced(position).any()))

    def apply(
        self, scores: Float[Tensor, "B W V"], ids: Int[Tensor, "B W T"], first: int
    ) -> Float[Tensor, "B W V"]:
        """Change scores in place: minus infinity for what may not come, 0 for what has to.

        They are logits or log-probabilities of the next token, of some sequences, of which `first`
        is the number of the first.
        """
        settings, position = self.settings, ids.size(-1)
        prompts = self.prompts[first : first + len(scores)]
        if len(self.suppressed):
            scores.index_fill_(-1, self.suppressed.to(scores.device), -torch.inf)
        if settings.repetition_penalty != 1.0:
            _penalize(scores, prompts, ids, settings.repetition_penalty)
        if settings.no_repeat_ngram_size:
            _forbid_ngrams(scores, prompts, ids, settings.no_repeat_ngram_size)
        if position < settings.min_new_tokens:
            scores[..., list(settings.end_ids)] = -torch.inf
        if position == 0 and settings.forced_first_id is not None:
            _force(scores, settings.forced_first_id)
        if position == settings.max_new_tokens - 1 and settings.forced_last_id is not None:
            _force(scores, settings.forced_last_id)
        for row, prefix in enumerate(self.prefixes[first : first + len(scores)]):
            if position < len(prefix):
                _force(scores[row], prefix[position])
        return scores


def _penalize(
    scores: Float[Tensor, "B W V"],
    prompts: Sequence[tuple[int, ...]],
    ids: Int[Tensor, "B W T"],
    penalty: float,
) -> None:
    """Lower the scores of all tokens that came before (repetition penalty)."""
    longest = max(map(len, prompts))
    # A shorter prompt is filled up with a token of its own, which is lowered once all the same.
    filled = ids.new_tensor([prompt + prompt[:1] * (longest - len(prompt)) for prompt in prompts])
    before = torch.cat((filled.unsqueeze(1).expand(-1, ids.size(1), -1), ids), -1)
    values = scores.gather(-1, before)
    scores.scatter_(-1, before, torch.where(values < 0, values * penalty, values / penalty))


def _forbid_ngrams(
    scores: Float[Tensor, "B W V"],
    prompts: Sequence[tuple[int, ...]],
    ids: Int[Tensor, "B W T"],
    size: int,
) -> None:
    """Suppress every token that would make so many tokens in a row occur twice."""
    for row, (prompt, hypotheses) in enumerate(zip(prompts, ids.tolist(), strict=True)):
        for column, hypothesis in enumerate(hypotheses):
            text = [*prompt, *hypothesis]
            begun = text[len(text) - size + 1 :] if size > 1 else []
            banned = {
                text[i + size - 1]
                for i in range(len(text) - size + 1)
                if text[i : i + size - 1] == begun
            }
            scores[row, column, list(banned)] = -torch.inf


def _force(scores: Float[Tensor, "... V"], token_id: int) -> None:
    scores.fill_(-torch.inf)
    scores[..., token_id] = 0.0


MAX_PERIOD = 12
MIN_LOOP_ROUNDS = 4
# A sentence and its translation rarely differ by more; short ones may by some tokens.
MAX_TIMES_LONGER = 3.0
MAX_TIMES_SHORTER = 4.0
SPARE_TOKENS = 12


def is_loop(ids: Sequence[int], source_ids: Sequence[int] = ()) -> bool:
    """Tell whether the same tokens come again and again, in one stretch.

    What repeats in the source may repeat in its translation.

    Example:
        >>> is_loop([5, 1, 2, 1, 2, 1, 2, 1, 2]), is_loop([1, 2, 3, 1, 2])
        (True, False)
    """
    return _rounds(ids) >= max(MIN_LOOP_ROUNDS, 2 * _rounds(source_ids))


def is_unlike_in_length(count: int, source_count: int) -> bool:
    """Tell whether so many tokens are no translation of so many."""
    return (
        count > MAX_TIMES_LONGER * source_count + SPARE_TOKENS
        or source_count > MAX_TIMES_SHORTER * count + SPARE_TOKENS
    )


def max_target_tokens(source_count: int) -> int:
    """Tell how long a translation of so many tokens may become before it is cut."""
    return int(MAX_TIMES_LONGER * source_count) + 4 * SPARE_TOKENS


def _rounds(ids: Sequence[int]) -> int:
    """Count how often the most repeated stretch comes in a row; longer stretches count more."""
    best = 1
    for period in range(1, min(MAX_PERIOD, len(ids) // 2) + 1):
        same = 0
        for i in range(period, len(ids)):
            same = same + 1 if ids[i] == ids[i - period] else 0
            best = max(best, 1 + same // period)
    return best
