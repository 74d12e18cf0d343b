"""What may not be written, and what has to be: rules over the scores of the next token."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from zhixing.generation.settings import SearchSettings


@dataclass
class Rules:
    """Apply the rules of a search.

    Attributes:
        settings: Of the search.
        prefixes: How each sequence has to begin; empty for no matter how.
        suppressed: Token ids that are never chosen.
    """

    settings: SearchSettings
    prefixes: list[tuple[int, ...]]
    suppressed: Int[Tensor, " S"] = field(init=False)

    def __post_init__(self) -> None:
        self.suppressed = torch.tensor(self.settings.suppressed_ids, dtype=torch.int64)

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences."""
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
        self, scores: Float[Tensor, "B W V"], written: Int[Tensor, "B W T"], first: int
    ) -> Float[Tensor, "B W V"]:
        """Change scores in place: minus infinity for what may not come, 0 for what has to.

        Args:
            scores: Logits or log-probabilities of the next token, of some sequences.
            written: Of every hypothesis of them.
            first: Number of the first of these sequences.
        """
        settings, position = self.settings, written.size(-1)
        if len(self.suppressed):
            scores.index_fill_(-1, self.suppressed.to(scores.device), -torch.inf)
        if settings.repetition_penalty != 1.0:
            self._penalize(scores, written)
        if settings.no_repeat_ngram_size and position + 1 >= settings.no_repeat_ngram_size:
            self._forbid_repetition(scores, written)
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

    def _penalize(self, scores: Float[Tensor, "B W V"], written: Int[Tensor, "B W T"]) -> None:
        start = written.new_full((*written.shape[:2], 1), self.settings.start_id)
        before = torch.cat((start, written), -1)
        found = scores.gather(-1, before)
        penalty = self.settings.repetition_penalty
        scores.scatter_(-1, before, torch.where(found < 0, found * penalty, found / penalty))

    def _forbid_repetition(
        self, scores: Float[Tensor, "B W V"], written: Int[Tensor, "B W T"]
    ) -> None:
        size = self.settings.no_repeat_ngram_size
        start = self.settings.start_id
        for row, hypotheses in enumerate(written.tolist()):
            for column, own in enumerate(hypotheses):
                ids = [start, *own]
                end = ids[len(ids) - size + 1 :] if size > 1 else []
                banned = {
                    ids[i + size - 1]
                    for i in range(len(ids) - size + 1)
                    if ids[i : i + size - 1] == end
                }
                scores[row, column, list(banned)] = -torch.inf


def _force(scores: Float[Tensor, "... V"], token_id: int) -> None:
    scores.fill_(-torch.inf)
    scores[..., token_id] = 0.0
