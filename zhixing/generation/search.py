"""Beam search, greedy decoding and sampling, for any autoregressive model: prefill, then steps."""

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
from zhixing.layers.ragged import Ragged

# Scores that are held at once: on a CPU 16 MB of them, which stay in its caches from the product to
# the last look at them. 61 MB, of 256 hypotheses over 59,514 tokens, took half as long again.
MAX_SCORES_AT_ONCE = 1 << 23
MAX_ACCELERATOR_SCORES_AT_ONCE = 1 << 28


@runtime_checkable
class State(Protocol):
    """The KV cache or whatever else a model keeps between steps, of the hypotheses in a beam."""

    def descend(self, parents: Int[Tensor, "B W"]) -> None:
        """Go on from other hypotheses: for each sequence, which of its present ones."""

    def keep(self, order: Sequence[int]) -> None:
        """Go on with some of the sequences, in this order."""


Inputs = TypeVar("Inputs", contravariant=True)
Kept = TypeVar("Kept", bound=State)


@runtime_checkable
class AutoregressiveModel(Protocol, Generic[Inputs, Kept]):
    """Anything that says, token by token, what could come next; with an encoder or without."""

    def start(self, inputs: Inputs, prompts: Ragged, /) -> tuple[Float[Tensor, "B D"], Kept]:
        """Prefill: read the inputs and every prompt; give what `next_logits` wants after them."""

    def step(self, ids: Int[Tensor, " N"], state: Kept, /) -> tuple[Float[Tensor, "N D"], Kept]:
        """Read one token of every hypothesis; give what `next_logits` wants. Consumes the state."""

    def next_logits(self, states: Float[Tensor, "N D"], /) -> Float[Tensor, "N V"]:
        """Score every token that may come next, after some of the hypotheses."""

    @property
    def num_tokens(self) -> int:
        """Tell how many tokens there are to choose from."""


@torch.inference_mode()
def search(
    model: AutoregressiveModel[Inputs, Kept],
    inputs: Inputs,
    settings: SearchSettings,
    *,
    sequences: int,
    prompts: Sequence[Sequence[int]] = (),
    prefixes: Sequence[Sequence[int]] = (),
    device: torch.device = torch.device("cpu"),
) -> list[list[Hypothesis]]:
    """Generate from each of some inputs and prompts by greedy decoding, sampling or beam search.

    A sequence that is done leaves the batch at once, and what the others generate does not change
    by it. Search does not know whether there is an encoder.

    Args:
        model: Starts and steps.
        inputs: What `model.start` takes: sources for an encoder, None where there is none.
        settings: How to search.
        sequences: How many inputs there are: the batch size.
        prompts: What the model reads before its first choice, one a sequence, of any length; no
            result holds it. None of them for the start token alone.
        prefixes: How each result has to begin; none to leave it to the model.
        device: Where the model computes.

    Returns:
        For each input its `num_results` best hypotheses, the best first.

    Raises:
        DataError: If there are not as many prompts or prefixes as sequences, or a prompt is empty.
    """
    for name, given in (("prompts", prompts), ("prefixes", prefixes)):
        if given and len(given) != sequences:
            raise DataError(
                f"there are {sequences} sequences but {len(given)} {name}; give each one"
            )
    if not all(prompts):
        raise DataError("a prompt is empty; it holds the start token at least")
    read = [tuple(ids) for ids in prompts] or [(settings.start_id,)] * sequences
    rules = Rules(settings, read, [tuple(ids) for ids in prefixes] or [()] * sequences)
    selector = _selector(settings, sequences, device)
    results: list[list[Hypothesis]] = [[] for _ in range(sequences)]
    numbers = list(range(sequences))
    ids = torch.tensor([token for prompt in read for token in prompt], device=device)
    states, state = model.start(inputs, Ragged(ids, tuple(map(len, read))))
    while numbers:
        candidates = _candidates(model, states, selector, rules, len(numbers))
        choice = selector.choose(candidates, rules)
        chosen, parents = choice.ids, choice.parents
        done = choice.is_done.tolist()
        if any(done):
            for row in (row for row, is_done in enumerate(done) if is_done):
                results[numbers[row]] = selector.results(row)[: settings.num_results]
            order = gaps_filled(done)
            if not order:
                break
            # The present hypotheses have to be chosen from before sequences change places.
            selector.keep(order)
            rules.keep(order)
            state.keep(order)
            numbers = [numbers[i] for i in order]
            chosen, parents = chosen[order], parents[order]
        state.descend(parents)
        states, state = model.step(chosen.flatten(), state)
    return results


def _selector(settings: SearchSettings, sequences: int, device: torch.device) -> Selector:
    if settings.num_groups > 1:
        return DiverseBeam(settings, sequences, device)
    return (Beam if settings.num_beams > 1 else GreedyOrSampling)(settings, sequences, device)


def _candidates(
    model: AutoregressiveModel[Inputs, Kept],
    states: Tensor,
    selector: Selector,
    rules: Rules,
    sequences: int,
) -> Candidates:
    """Score the vocabulary after every hypothesis, for some sequences at a time."""
    alive = len(states) // sequences
    limit = MAX_SCORES_AT_ONCE if states.is_cpu else MAX_ACCELERATOR_SCORES_AT_ONCE
    at_once = max(1, limit // (model.num_tokens * alive))
    return Candidates.joined(
        [
            selector.read(model.next_logits(part).float(), rules, number * at_once)
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
    movers = iter(reversed([i for i in left if i >= len(left)]))
    return [next(movers) if done[i] else i for i in range(len(left))]
