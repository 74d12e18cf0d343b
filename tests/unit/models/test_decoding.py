"""A decoder remembers of each hypothesis its own sequence and its own tokens, whatever moves."""

import random
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from zhixing.layers.positions import PositionKind
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build

KINDS = [kind for kind in get_args(PositionKind) if kind != "convolution"]
CONFIG = ModelConfig(
    vocab_size=20,
    hidden_size=8,
    encoder_layers=1,
    decoder_layers=2,
    num_heads=2,
    feed_forward_size=12,
    max_positions=64,
    head="next_token",
)
# Of unequal lengths: a memory beside longer ones has spare positions.
SOURCES = [[3, 4, 5], [6, 7, 8, 9, 10], [11], [12, 13, 14, 15]]


def model_of(**changes: Any) -> Transformer:
    """Build a model in which every weight is random, norms and biases too."""
    model = build(replace(CONFIG, **changes)).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.4, generator=generator)
    return model


def ragged(rows: list[list[int]]) -> Ragged:
    return Ragged.of([torch.tensor(row) for row in rows])


class Reader:
    """Steps a decoder, and reads the same texts anew to see what each step should give.

    `texts` holds what was written: for each sequence that is left, its source and hypotheses.
    """

    def __init__(self, model: Transformer, sources: list[list[int]], *, seed: int = 0) -> None:
        self.model = model
        _, self.state = model.start(ragged(sources), ragged([[1]] * len(sources)))
        self.texts: list[tuple[list[int], list[list[int]]]] = [(own, [[1]]) for own in sources]
        self.draw = random.Random(seed)

    def step(self) -> Tensor:
        """Read a token of every hypothesis, each its own."""
        flat = [written for _, own in self.texts for written in own]
        for written in flat:
            written.append(self.draw.randrange(1, 20))
        ids = torch.tensor([written[-1] for written in flat])
        states, self.state = self.model.step(ids, self.state)
        return states

    def descend(self, parents: list[list[int]]) -> None:
        self.state.descend(torch.tensor(parents))
        self.texts = [
            (source, [list(own[i]) for i in chosen])
            for (source, own), chosen in zip(self.texts, parents, strict=True)
        ]

    def keep(self, order: list[int]) -> None:
        self.state.keep(order)
        self.texts = [self.texts[i] for i in order]

    def expected(self) -> Tensor:
        """Read every hypothesis from its start, as a sequence of its own."""
        pairs = [(source, written) for source, own in self.texts for written in own]
        written = ragged([written for _, written in pairs])
        states = self.model.decoder_states(ragged([source for source, _ in pairs]), written)
        return states[torch.tensor(written.lengths).cumsum(0) - 1]

    def check(self) -> None:
        """Step, and compare."""
        torch.testing.assert_close(self.step(), self.expected(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("positions", KINDS)
def test_a_step_gives_what_reading_all_at_once_gives(positions: str) -> None:
    reader = Reader(model_of(positions=positions), SOURCES)
    for _ in range(4):
        reader.check()


@pytest.mark.parametrize("order", [[0, 1, 2], [3, 1], [2, 0], [3], [0, 3, 2]])
def test_a_sequence_that_moves_takes_its_memory_with_it(order: list[int]) -> None:
    reader = Reader(model_of(), SOURCES)
    reader.check()
    reader.keep(order)
    reader.check()
    reader.check()


@pytest.mark.parametrize("sources", [[[3, 4], [5, 6], [7, 8]], [[3, 4], [5], [7, 8]]])
def test_memories_of_one_length_and_of_several_move_alike(sources: list[list[int]]) -> None:
    reader = Reader(model_of(), sources)
    reader.keep([2, 1])
    reader.check()
    reader.keep([1])
    reader.check()


@pytest.mark.parametrize("positions", KINDS)
def test_a_hypothesis_sees_its_own_ancestors_and_no_others(positions: str) -> None:
    reader = Reader(model_of(positions=positions), SOURCES[:2])
    reader.check()
    reader.descend([[0, 0, 0], [0, 0, 0]])
    reader.check()
    # Two of the three swap places in the first sequence; in the second one has all the children.
    reader.descend([[1, 0, 2], [2, 2, 2]])
    reader.check()
    reader.descend([[2, 1, 1], [0, 2, 1]])
    reader.check()


def test_a_hypothesis_attends_to_the_memory_of_its_own_sequence() -> None:
    model = model_of()
    pairs = [Reader(model, sources) for sources in (SOURCES[:2], [SOURCES[2], SOURCES[1]])]
    found = []
    for reader in pairs:
        reader.step()
        reader.descend([[0, 0], [0, 0]])
        found.append(reader.step())
    # The first sequence has another source, the second the same.
    is_same = [torch.allclose(a, b, rtol=0, atol=1e-10) for a, b in zip(*found, strict=True)]
    assert is_same == [False, False, True, True]


def test_sequences_leave_while_their_hypotheses_go_on() -> None:
    reader = Reader(model_of(), SOURCES)
    reader.check()
    reader.descend([[0, 0]] * 4)
    reader.check()
    reader.keep([3, 1, 2])
    reader.descend([[1, 0], [1, 1], [0, 1]])
    reader.check()
    reader.keep([2, 1])
    reader.descend([[1, 0], [0, 1]])
    reader.check()
    reader.keep([1])
    reader.descend([[0, 0]])
    reader.check()


def test_each_sequence_may_keep_fewer_or_more_hypotheses() -> None:
    reader = Reader(model_of(), SOURCES[:2])
    for parents in ([[0, 0, 0, 0]] * 2, [[3, 1], [0, 0]], [[1], [1]], [[0, 0, 0], [0, 0, 0]]):
        reader.check()
        reader.descend(parents)
    reader.check()


@pytest.mark.parametrize("positions", ["rotary", "relative"])
def test_nothing_is_forgotten_that_somebody_descends_from(positions: str) -> None:
    # So many steps of so many hypotheses that what nobody sees any more is dropped.
    draw = random.Random(0)
    reader = Reader(model_of(positions=positions), SOURCES[:3])
    for step in range(24):
        reader.step()
        if step == 20:
            reader.keep([2, 1])
        width = len(reader.texts[0][1])
        reader.descend([[draw.randrange(width) for _ in range(4)] for _ in reader.texts])
    reader.check()


def test_the_next_token_is_scored_by_the_newest_state() -> None:
    model = model_of()
    reader = Reader(model, SOURCES[:2])
    reader.step()
    found = model.next_logits(reader.step())
    wanted = model.next_logits(reader.expected())
    assert found.shape == (2, model.num_tokens)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
