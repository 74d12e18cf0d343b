"""Greedy decoding, sampling (top-k, top-p) and beam search: which hypotheses go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from zhixing.generation.ranking import NO_SCORE, best_joined, best_scores, log_totals, penalized
from zhixing.generation.rules import Rules
from zhixing.generation.settings import SearchSettings
from zhixing.layers.cache import kept
from zhixing.layers.dropout import Noise


@dataclass(frozen=True)
class Hypothesis:
    """A generated sequence: its tokens, their log-probabilities, and its score.

    Attributes:
        ids: Without the prompt, with the end.
        score: What it was ranked by: the sum of `log_probs` under the length penalty.
        log_probs: Of every token; 0 where it was forced.
        has_ended: The model ended it; it was not cut at `max_new_tokens`.
    """

    ids: tuple[int, ...]
    score: float
    log_probs: tuple[float, ...]
    has_ended: bool


@dataclass(frozen=True)
class Choice:
    """What goes on after a step.

    A parent is the hypothesis of its sequence that each token goes on from.
    """

    ids: Int[Tensor, "B W"]
    parents: Int[Tensor, "B W"]
    is_done: Bool[Tensor, " B"]


@dataclass(frozen=True)
class Candidates:
    """Tokens that may come next, few of each sequence.

    A parent is the hypothesis of its sequence that each would go on from.
    """

    ids: Int[Tensor, "B C"]
    parents: Int[Tensor, "B C"]
    log_probs: Float[Tensor, "B C"]

    @classmethod
    def joined(cls, parts: "Sequence[Candidates]", *, dim: int = 0) -> "Candidates":
        """Put those of several sequences together, in order, or with `dim` 1 more of the same."""
        if len(parts) == 1:
            return parts[0]
        sides = zip(*((part.ids, part.parents, part.log_probs) for part in parts), strict=True)
        return cls(*(torch.cat(side, dim) for side in sides))


@runtime_checkable
class Selector(Protocol):
    """Hold the hypotheses of B sequences, and choose after every step.

    The scores of a vocabulary are read for some sequences at a time, so that those of all are never
    held at once.
    """

    def read(self, logits: Float[Tensor, "N V"], rules: Rules, first: int) -> Candidates:
        """Keep what may be chosen of the logits of some sequences' hypotheses.

        The logits may be changed; `first` is the number of the first of these sequences.
        """

    def choose(self, candidates: Candidates, rules: Rules) -> Choice:
        """Choose the next token of every hypothesis."""

    def results(self, row: int) -> list[Hypothesis]:
        """Give the hypotheses of a sequence that is done, best first."""

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences, in this order."""


class GreedyOrSampling:
    """Greedy decoding, the best token every time, or sampling with temperature, top-k, top-p.

    Source:
        Holtzman et al. 2020, arXiv:1904.09751, section 3.1, for top-p (nucleus sampling); Fan et
        al. 2018, arXiv:1805.04833, section 5.1, for top-k.
    """

    def __init__(self, settings: SearchSettings, sequences: int, device: torch.device) -> None:
        self.settings = settings
        self.width = settings.width
        shape = (sequences, self.width, 0)
        self.ids = torch.empty(shape, dtype=torch.int64, device=device)
        self.log_probs = torch.empty(shape, device=device)
        self.has_ended = torch.zeros(shape[:2], dtype=torch.bool, device=device)
        self.ends = torch.tensor(settings.end_ids, device=device)
        self.generators = [
            torch.Generator().manual_seed(Noise(("draw", settings.seed, i)).seed())
            for i in range(sequences)
        ]

    def read(self, logits: Float[Tensor, "N V"], rules: Rules, first: int) -> Candidates:
        """Take the likeliest token of every hypothesis, or draw one."""
        position = self.ids.size(-1)
        alive = self.width if position else 1
        count = len(logits) // alive
        rows = slice(first, first + count)
        logits = logits.view(count, alive, -1).expand(-1, self.width, -1)
        totals = log_totals(logits.flatten(0, 1)).view(count, -1)
        # Only a penalty changes scores of tokens that may be chosen.
        is_shared = position == 0 and self.width > 1
        is_changed = self.settings.repetition_penalty != 1.0 or is_shared
        scores = rules.apply(logits.clone() if is_changed else logits, self.ids[rows], first)
        if self.settings.temperature:
            chosen = self._drawn(scores, self.generators[rows])
        else:
            chosen = best_scores(scores.flatten(0, 1), 1).ids.view(count, -1)
        log_probs = logits.gather(-1, chosen.unsqueeze(-1)).squeeze(-1) - totals
        parents = torch.arange(self.width, device=chosen.device).expand_as(chosen)
        return Candidates(chosen, parents if position else torch.zeros_like(parents), log_probs)

    def choose(self, candidates: Candidates, rules: Rules) -> Choice:
        """Go on with the one token of every hypothesis."""
        position = self.ids.size(-1)
        chosen, log_probs = candidates.ids, candidates.log_probs
        is_free = ~(self.has_ended | rules.forced(position).to(chosen.device).unsqueeze(-1))
        log_probs = torch.where(is_free, log_probs, 0.0)
        chosen = torch.where(self.has_ended, self.ends[0], chosen)
        self.ids = torch.cat((self.ids, chosen.unsqueeze(-1)), -1)
        self.log_probs = torch.cat((self.log_probs, log_probs.unsqueeze(-1)), -1)
        self.has_ended |= torch.isin(chosen, self.ends)
        is_done = self.has_ended.all(-1)
        if position + 1 == self.settings.max_new_tokens:
            is_done = torch.ones_like(is_done)
        return Choice(chosen, candidates.parents, is_done)

    def results(self, row: int) -> list[Hypothesis]:
        """Give the hypotheses of a sequence, likeliest first."""
        ends = set(self.settings.end_ids)
        hypotheses = []
        for ids, log_probs in zip(
            self.ids[row].tolist(), self.log_probs[row].tolist(), strict=True
        ):
            length = next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))
            kept_ids, kept_probs = tuple(ids[:length]), tuple(log_probs[:length])
            score = penalized(sum(kept_probs), length, self.settings.length_penalty)
            hypotheses.append(Hypothesis(kept_ids, score, kept_probs, kept_ids[-1] in ends))
        return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences, in this order."""
        self.ids, self.log_probs = kept(self.ids, order), kept(self.log_probs, order)
        self.has_ended = kept(self.has_ended, order)
        self.generators = [self.generators[i] for i in order]

    def _drawn(
        self, scores: Float[Tensor, "B W V"], generators: Sequence[torch.Generator]
    ) -> Int[Tensor, "B W"]:
        """Draw from what top-k and top-p leave; each sequence has its own random numbers."""
        scores = scores.double() / self.settings.temperature
        if 0 < self.settings.top_k < scores.size(-1):
            least = scores.topk(self.settings.top_k, -1).values[..., -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        if self.settings.top_p < 1.0:
            ordered, index = scores.sort(-1, descending=True)
            shares = ordered.softmax(-1)
            is_spare = shares.cumsum(-1) - shares >= self.settings.top_p
            scores = scores.masked_fill(is_spare.gather(-1, index.argsort(-1)), -torch.inf)
        drawn = [
            torch.multinomial(rows.softmax(-1).cpu(), 1, generator=generator)
            for rows, generator in zip(scores, generators, strict=True)
        ]
        return torch.stack(drawn).squeeze(-1).to(scores.device)


class Beam:
    """Beam search: follow the best hypotheses of each sequence, keep the best that have ended.

    The arithmetic is the reference library's: candidates are twice the beam (one more beam for
    each further end token), only those among the first `num_beams` may end, and ended ones are
    ranked by their penalized scores.

    `spare` more candidates are kept, for some may be held back.
    """

    def __init__(
        self, settings: SearchSettings, sequences: int, device: torch.device, *, spare: int = 0
    ) -> None:
        self.settings = settings
        self.spare = spare
        self.width = settings.num_beams
        self.ends = torch.tensor(settings.end_ids, device=device)
        self.candidates = max(2, 1 + len(settings.end_ids)) * self.width
        shape = (sequences, self.width)
        self.scores = torch.zeros(sequences, 1, device=device)
        self.ids = torch.empty(sequences, 1, 0, dtype=torch.int64, device=device)
        self.log_probs = torch.empty(sequences, 1, 0, device=device)
        room = (*shape, settings.max_new_tokens)
        self.ended_ids = torch.zeros(room, dtype=torch.int64, device=device)
        self.ended_log_probs = torch.zeros(room, device=device)
        self.ended_scores = torch.full(shape, NO_SCORE, device=device)
        self.ended_lengths = torch.zeros(shape, dtype=torch.int64, device=device)
        self.may_improve = torch.ones(sequences, dtype=torch.bool, device=device)

    def read(self, logits: Float[Tensor, "N V"], rules: Rules, first: int) -> Candidates:
        """Keep the best continuations of each sequence's hypotheses, as many as may be chosen."""
        alive, position = self.ids.shape[1:]
        totals = log_totals(logits).unsqueeze(-1)
        if not rules.only_forbid(position):
            # Rules speak of log-probabilities.
            logits, totals = logits - totals, torch.zeros_like(totals)
        scores = logits.view(-1, alive, logits.size(-1))
        rows = slice(first, first + len(scores))
        rules.apply(scores, self.ids[rows], first)
        before = self.scores[rows] - totals.view(-1, alive)
        best = best_joined(scores, before, self.candidates + self.spare)
        log_probs = best.scores - totals.view(-1, alive).gather(1, best.rows)
        return Candidates(best.ids, best.rows, log_probs)

    def choose(self, candidates: Candidates, rules: Rules) -> Choice:
        """Choose the best continuations of each sequence's hypotheses."""
        return self.choose_lowered(candidates, None)

    def choose_lowered(
        self, candidates: Candidates, lowered: Float[Tensor, "B C"] | None
    ) -> Choice:
        """Choose the best continuations, some of them held back.

        What is taken off a candidate when it is chosen leaves its score as it is.
        """
        position = self.ids.size(-1)
        totals = candidates.log_probs + self.scores.gather(1, candidates.parents)
        ranks = totals if lowered is None else totals - lowered
        ranks, order = ranks.topk(self.candidates)
        best, tokens, log_probs, parents = (
            x.gather(1, order)
            for x in (totals, candidates.ids, candidates.log_probs, candidates.parents)
        )
        ids = torch.cat((_taken(self.ids, parents), tokens.unsqueeze(-1)), -1)
        probs = torch.cat((_taken(self.log_probs, parents), log_probs.unsqueeze(-1)), -1)
        is_last = position + 1 == self.settings.max_new_tokens
        is_end = torch.isin(tokens, self.ends)
        going = (ranks + is_end * NO_SCORE).topk(self.width).indices
        self._end(best, is_end | is_last, ids, probs, position + 1)
        self.scores = (best + is_end * NO_SCORE).gather(1, going)
        self.ids, self.log_probs = _taken(ids, going), _taken(probs, going)
        is_done = self._is_done(position + 1) | is_last
        return Choice(tokens.gather(1, going), parents.gather(1, going), is_done)

    def _end(
        self,
        best: Float[Tensor, "B C"],
        stops: Bool[Tensor, "B C"],
        ids: Int[Tensor, "B C T"],
        log_probs: Float[Tensor, "B C T"],
        length: int,
    ) -> None:
        """Keep the best among those that had ended and those that end now."""
        may_end = stops & (torch.arange(self.candidates, device=stops.device) < self.width)
        if self.settings.early_stopping == "yes":
            is_full = (self.ended_scores > NO_SCORE / 2).all(-1, keepdim=True)
            may_end = may_end & ~is_full
        may_end = may_end & self.may_improve.unsqueeze(-1)
        if not bool(may_end.any()):
            return
        scores = penalized(best, length, self.settings.length_penalty)
        scores = scores.masked_fill(~may_end, 2 * NO_SCORE)
        merged = torch.cat((self.ended_scores, scores), 1).topk(self.width)
        spare = self.settings.max_new_tokens - length
        pad = torch.nn.functional.pad
        self.ended_scores = merged.values
        self.ended_ids = _taken(
            torch.cat((self.ended_ids, pad(ids, (0, spare))), 1), merged.indices
        )
        self.ended_log_probs = _taken(
            torch.cat((self.ended_log_probs, pad(log_probs, (0, spare))), 1), merged.indices
        )
        lengths = torch.cat(
            (self.ended_lengths, torch.full_like(stops, length, dtype=torch.int64)), 1
        )
        self.ended_lengths = lengths.gather(1, merged.indices)

    def _is_done(self, length: int) -> Bool[Tensor, " B"]:
        """Apply early stopping: tell which sequences have enough hypotheses that ended."""
        settings = self.settings
        is_ended = self.ended_scores > NO_SCORE / 2
        longest = length
        if settings.early_stopping == "never" and settings.length_penalty > 0.0:
            longest = settings.max_new_tokens
        # The first is not the best where some were held back.
        possible = penalized(self.scores.amax(1), longest, settings.length_penalty)
        worst = torch.where(is_ended, self.ended_scores.amin(1, keepdim=True), NO_SCORE)
        self.may_improve = self.may_improve & (possible.unsqueeze(-1) > worst).any(-1)
        is_full = is_ended.all(-1) & (settings.early_stopping == "yes")
        return is_full | ~self.may_improve

    def results(self, row: int) -> list[Hypothesis]:
        """Give the hypotheses of a sequence that have ended, best first."""
        ends = set(self.settings.end_ids)
        hypotheses = []
        for score, length, ids, log_probs in zip(
            self.ended_scores[row].tolist(),
            self.ended_lengths[row].tolist(),
            self.ended_ids[row].tolist(),
            self.ended_log_probs[row].tolist(),
            strict=True,
        ):
            if length:
                kept_ids, kept_probs = tuple(ids[:length]), tuple(log_probs[:length])
                hypotheses.append(Hypothesis(kept_ids, score, kept_probs, kept_ids[-1] in ends))
        return hypotheses

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences, in this order."""
        for name in ("scores", "ids", "log_probs", "may_improve"):
            setattr(self, name, kept(getattr(self, name), order))
        for name in ("ids", "log_probs", "scores", "lengths"):
            setattr(self, f"ended_{name}", kept(getattr(self, f"ended_{name}"), order))


def _taken(x: Tensor, parents: Int[Tensor, "B C"]) -> Tensor:
    """Take some hypotheses of each sequence."""
    index = parents.unsqueeze(-1).expand(-1, -1, x.size(-1))
    return x.gather(1, index)
