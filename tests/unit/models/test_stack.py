"""A stack reads both ways or only what was written before, and attends to its own memory."""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from zhixing.errors import ConfigError
from zhixing.layers.positions import PositionKind
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build

KINDS = [kind for kind in get_args(PositionKind) if kind != "convolution"]
CONFIG = ModelConfig(
    vocab_size=20,
    hidden_size=8,
    encoder_layers=2,
    decoder_layers=2,
    num_heads=2,
    feed_forward_size=12,
    max_positions=16,
    head="next_token",
)
READ = Ragged(torch.tensor([3, 4, 5, 6, 7, 8, 9]), (2, 4, 1))
WRITTEN = Ragged(torch.tensor([1, 10, 11, 12, 1, 13, 1, 14, 15]), (4, 2, 3))


def model_of(**changes: Any) -> Transformer:
    """Build a model in which every weight is random, norms and biases too."""
    model = build(replace(CONFIG, **changes)).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.4, generator=generator)
    return model


def with_token(ids: Ragged, place: int, token: int) -> Ragged:
    """Put another token at a place of the whole batch."""
    values = ids.values.clone()
    values[place] = token
    return Ragged(values, ids.lengths)


def changed_rows(left: Tensor, right: Tensor) -> list[int]:
    """Tell at which positions of the batch two results differ."""
    return ((left - right).abs().amax(-1) > 1e-10).nonzero().flatten().tolist()


@pytest.mark.parametrize("positions", KINDS)
def test_a_token_that_is_written_changes_nothing_before_it(positions: str) -> None:
    model = model_of(positions=positions)
    plain = model.decoder_states(READ, WRITTEN)
    for place, later in ((1, [1, 2, 3]), (3, [3]), (4, [4, 5]), (7, [7, 8])):
        changed = model.decoder_states(READ, with_token(WRITTEN, place, 19))
        assert changed_rows(plain, changed) == later


@pytest.mark.parametrize("positions", KINDS)
def test_a_token_that_is_read_changes_all_of_its_own_sequence(positions: str) -> None:
    model = model_of(positions=positions)
    plain = model(READ)
    for place, own in ((1, [0, 1]), (2, [2, 3, 4, 5]), (6, [6])):
        assert changed_rows(plain, model(with_token(READ, place, 19))) == own


@pytest.mark.parametrize(("place", "own"), [(1, range(4)), (2, range(4, 6)), (6, range(6, 9))])
def test_what_is_written_attends_to_what_was_read_beside_it(place: int, own: range) -> None:
    model = model_of()
    plain = model.decoder_states(READ, WRITTEN)
    changed = model.decoder_states(with_token(READ, place, 19), WRITTEN)
    assert changed_rows(plain, changed) == list(own)


def test_sequences_written_side_by_side_are_those_written_alone() -> None:
    model = model_of()
    together = model.decoder_states(READ, WRITTEN).split(list(WRITTEN.lengths))
    for found, read, written in zip(together, READ.split(), WRITTEN.split(), strict=True):
        alone = model.decoder_states(Ragged.of([read]), Ragged.of([written]))
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_every_state_is_normalized_at_the_end(norm: str) -> None:
    # Fresh norms neither stretch nor move: each position has mean 0 and spread 1.
    model = build(replace(CONFIG, norm=norm, initial_std=0.5)).double()
    for states in (model(READ), model.decoder_states(READ, WRITTEN)):
        assert states.mean(-1).abs().max() < 1e-10
        assert (states.var(-1, correction=0) - 1).abs().max() < 1e-10


def test_recomputing_gives_the_same_gradients() -> None:
    gradients = []
    for is_recomputed in (False, True):
        model = model_of()
        states = model.decoder_states(READ, WRITTEN, gradient_checkpointing=is_recomputed)
        model.next_logits(states).logsumexp(-1).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, again in zip(*gradients, strict=True):
        assert plain is not None
        torch.testing.assert_close(again, plain, rtol=0, atol=1e-10)


def test_a_model_that_only_reads_has_nothing_to_write_with() -> None:
    model = build(replace(CONFIG, decoder_layers=0, head="none"))
    with pytest.raises(ConfigError, match="the model has no decoder; load one that translates"):
        model.start(READ, READ)
    with pytest.raises(ConfigError, match="the model has no decoder; load one that translates"):
        model.decoder_states(READ, WRITTEN)
    with pytest.raises(ConfigError, match="the model has no next-token head"):
        model.next_logits(torch.zeros(1, 8))
