"""Diverse beam search: beams in groups that keep apart give results unlike each other."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.generation.rules import Rules
from zhixing.generation.selection import Beam, Candidates, Choice, Hypothesis
from zhixing.generation.settings import SearchSettings


class DiverseBeam:
    """Follow groups of hypotheses; a token costs the more, the more groups before took it now.

    The penalty decides what is chosen and is no part of a score.

    Source:
        Vijayakumar et al. 2016, arXiv:1610.02424, algorithm 1 with Hamming diversity.
    """

    def __init__(self, settings: SearchSettings, sequences: int, device: torch.device) -> None:
        self.penalty = settings.diversity_penalty
        self.width = settings.num_beams // settings.num_groups
        group_settings = settings.changed(num_beams=self.width, num_results=1, num_groups=1)
        # Of every hypothesis as many candidates may be held back as tokens were taken.
        spare = settings.num_beams * self.width
        self.groups = [
            Beam(group_settings, sequences, device, spare=spare) for _ in range(settings.num_groups)
        ]

    def read(self, logits: Float[Tensor, "N V"], rules: Rules, first: int) -> Candidates:
        """Keep the best continuations of each group's hypotheses, one group after the other."""
        alive = self.groups[0].ids.size(1)
        is_first = self.groups[0].ids.size(-1) == 0
        parts = []
        for number, group in enumerate(self.groups):
            # At first all groups go on from the same, and rules change what they are given.
            width = alive if is_first else alive * len(self.groups)
            by_hypothesis = logits.view(-1, width, logits.size(1))
            column = 0 if is_first else number * alive
            group_logits = by_hypothesis[:, column : column + alive].flatten(0, 1).clone()
            parts.append(group.read(group_logits, rules, first))
        return Candidates.joined(parts, dim=1)

    def choose(self, candidates: Candidates, rules: Rules) -> Choice:
        """Let one group after the other choose."""
        is_first = self.groups[0].ids.size(-1) == 0
        count = len(self.groups)
        taken = candidates.ids[:, :0]
        parents, is_done = [], None
        sides = (candidates.ids, candidates.parents, candidates.log_probs)
        parts = zip(*(side.chunk(count, 1) for side in sides), strict=True)
        for number, (group, part) in enumerate(zip(self.groups, parts, strict=True)):
            times = (part[0].unsqueeze(-1) == taken.unsqueeze(1)).sum(-1)
            choice = group.choose_lowered(Candidates(*part), times * self.penalty)
            taken = torch.cat((taken, choice.ids), 1)
            parents.append(choice.parents + (0 if is_first else number * self.width))
            is_done = choice.is_done if is_done is None else is_done & choice.is_done
        if is_done is None:
            raise ValueError("there are no groups to choose for")
        return Choice(taken, torch.cat(parents, 1), is_done)

    def results(self, row: int) -> list[Hypothesis]:
        """Give the best of every group, then the others, both best first; none comes twice."""
        by_group = [group.results(row) for group in self.groups]
        ranked: dict[tuple[int, ...], Hypothesis] = {}
        for part in (slice(0, 1), slice(1, None)):
            hypotheses = [hypothesis for group in by_group for hypothesis in group[part]]
            for hypothesis in sorted(hypotheses, key=lambda hypothesis: -hypothesis.score):
                ranked.setdefault(hypothesis.ids, hypothesis)
        return list(ranked.values())

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences, in this order."""
        for group in self.groups:
            group.keep(order)
