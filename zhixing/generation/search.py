"""The one search: greedy, drawn or over beams, for anything that can start and step."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from zhixing.errors import DataError
from zhixing.generation.diverse import DiverseBeam
from zhixing.generation.rules import Rules
from zhixing.generation.selection import Beam, Candidates, GreedyOrSampling, Hypothesis, Selector
from zhixing.generation.settings import SearchSettings

# Scores that are held at once: on a CPU 16 MB of them, which stay in its caches from the product to
# the last look at them. 61 MB, of 256 hypotheses over 59,514 tokens, took half as long again.
MOST_SCORES = 1 << 23
MOST_ACCELERATOR_SCORES = 1 << 28


@runtime_checkable
class State(Protocol):
    """What a writer remembers between steps, of several hypotheses of each sequence."""

    def descend(self, parents: Int[Tensor, "B W"]) -> None:
        """Go on from other hypotheses: for each sequence, which of its present ones."""

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences, in this order."""


Inputs = TypeVar("Inputs", contravariant=True)
Kept = TypeVar("Kept", bound=State)


@runtime_checkable
class AutoregressiveModel(Protocol, Generic[Inputs, Kept]):
    """Anything that says, token by token, what could come next."""

    def start(self, inputs: Inputs, /) -> Kept:
        """Read what is to be written about."""

    def step(self, ids: Int[Tensor, " N"], state: Kept, /) -> tuple[Float[Tensor, "N D"], Kept]:
        """Read one token of every hypothesis; give what `next_logits` wants. Consumes the state."""

    def next_logits(self, states: Float[Tensor, "N D"], /) -> Float[Tensor, "N V"]:
        """Score every token that may come next, after some of the hypotheses."""

    @property
    def num_tokens(self) -> int:
        """Tell how many tokens there are to choose from."""


@torch.inference_mode()
def search(
    writer: AutoregressiveModel[Inputs, Kept],
    inputs: Inputs,
    settings: SearchSettings,
    *,
    sequences: int,
    prefixes: Sequence[Sequence[int]] = (),
    device: torch.device = torch.device("cpu"),
) -> list[list[Hypothesis]]:
    """Write about each of some inputs.

    A sequence that is done leaves the batch at once, and what the others write does not change by
    it. Search does not know whether there is an encoder.

    Args:
        writer: Starts and steps.
        inputs: What `writer.start` takes.
        settings: How to search.
        sequences: How many inputs there are.
        prefixes: How each result has to begin; none to leave it to the writer.
        device: Where the writer computes.

    Returns:
        For each input its `num_results` best hypotheses, the best first.

    Raises:
        DataError: If there are not as many prefixes as sequences.
    """
    if prefixes and len(prefixes) != sequences:
        raise DataError(
            f"there are {sequences} sequences but {len(prefixes)} prefixes; give each one"
        )
    rules = Rules(settings, [tuple(one) for one in prefixes] or [()] * sequences)
    selector = _selector(settings, sequences, device)
    found: list[list[Hypothesis]] = [[] for _ in range(sequences)]
    places = list(range(sequences))
    state = writer.start(inputs)
    ids = torch.full((sequences,), settings.start_id, device=device)
    while places:
        states, state = writer.step(ids, state)
        choice = selector.choose(_read(writer, states, selector, rules, len(places)), rules)
        chosen, parents = choice.ids, choice.parents
        done = choice.is_done.tolist()
        if any(done):
            for row in (row for row, is_done in enumerate(done) if is_done):
                found[places[row]] = selector.results(row)[: settings.num_results]
            order = gaps_filled(done)
            if not order:
                break
            # The present hypotheses have to be chosen from before sequences change places.
            selector.keep(order)
            rules.keep(order)
            state.keep(order)
            places = [places[i] for i in order]
            chosen, parents = chosen[order], parents[order]
        state.descend(parents)
        ids = chosen.flatten()
    return found


def _selector(settings: SearchSettings, sequences: int, device: torch.device) -> Selector:
    if settings.num_groups > 1:
        return DiverseBeam(settings, sequences, device)
    return (Beam if settings.num_beams > 1 else GreedyOrSampling)(settings, sequences, device)


def _read(
    writer: AutoregressiveModel[Inputs, Kept],
    states: Tensor,
    selector: Selector,
    rules: Rules,
    sequences: int,
) -> Candidates:
    """Score the vocabulary after every hypothesis, for some sequences at a time."""
    alive = len(states) // sequences
    limit = MOST_SCORES if states.is_cpu else MOST_ACCELERATOR_SCORES
    at_once = max(1, limit // (writer.num_tokens * alive))
    return Candidates.joined(
        [
            selector.read(writer.next_logits(part).float(), rules, number * at_once)
            for number, part in enumerate(states.split(at_once * alive))
        ]
    )


def gaps_filled(done: Sequence[bool]) -> list[int]:
    """Order those that go on so that few change places: the last ones fill the gaps.

    Example:
        >>> gaps_filled([False, True, False, False])
        [0, 3, 2]
    """
    left = [i for i, is_done in enumerate(done) if not is_done]
    order: list[int] = []
    for place in range(len(left)):
        order.append(place if not done[place] else -1)
    rest = iter(reversed([i for i in left if i >= len(left)]))
    return [i if i >= 0 else next(rest) for i in order]
