"""The state of decoding follows hypotheses and sequences, memory and KV cache alike."""

import torch
from torch import Tensor, nn

from zhixing.layers.cache import DecoderState
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer

CONFIG = ModelConfig(
    vocab_size=9,
    hidden_size=8,
    encoder_layers=1,
    decoder_layers=2,
    num_heads=2,
    feed_forward_size=7,
    max_positions=6,
    head="next_token",
)
SOURCES = Ragged(torch.tensor([1, 2, 3, 4, 5, 6]), (1, 3, 2))
PROMPTS = Ragged(torch.tensor([1, 2, 3, 4, 5, 6]), (3, 1, 2))


def started() -> tuple[Transformer, DecoderState]:
    model = Transformer(CONFIG).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.5, generator=generator)
        parameter.requires_grad_(False)
    return model, model.start(SOURCES, PROMPTS)[1]


def after(model: Transformer, sequence: int, *more: int) -> Tensor:
    """The last state of one sequence after more tokens, without a cache."""
    text = torch.tensor([*PROMPTS.split()[sequence].tolist(), *more])
    return model.decoder_states(SOURCES.select([sequence]), Ragged(text, (len(text),)))[-1]


def test_hypotheses_go_on_from_those_they_descend_from() -> None:
    model, state = started()
    state.descend(torch.tensor([[0, 0], [0, 0], [0, 0]]))
    _, state = model.step(torch.tensor([1, 2, 3, 4, 5, 6]), state)
    state.descend(torch.tensor([[1, 0], [0, 0], [1, 1]]))
    states, _ = model.step(torch.tensor([7, 8, 7, 8, 7, 8]), state)
    expected = [(0, 2, 7), (0, 1, 8), (1, 3, 7), (1, 3, 8), (2, 6, 7), (2, 6, 8)]
    for row, text in zip(states, expected, strict=True):
        assert (row - after(model, *text)).abs().max() < 1e-10


def test_sequences_take_memory_cache_and_position_with_them() -> None:
    model, state = started()
    state.keep([2, 1])
    states, _ = model.step(torch.tensor([7, 8]), state)
    assert (states[0] - after(model, 2, 7)).abs().max() < 1e-10
    assert (states[1] - after(model, 1, 8)).abs().max() < 1e-10


def test_a_prompt_may_fill_the_table_of_positions_beside_a_shorter_one() -> None:
    model, _ = started()
    sources = SOURCES.select([0, 1])
    prompts = Ragged(torch.tensor([1, 2, 3, 4, 5, 6, 7]), (6, 1))
    _, state = model.start(sources, prompts)
    # The long one leaves, and what is left has room for five more.
    state.keep([1])
    for _ in range(5):
        states, state = model.step(torch.tensor([3]), state)
    text = Ragged(torch.tensor([7, 3, 3, 3, 3, 3]), (6,))
    expected = model.decoder_states(sources.select([1]), text)[-1]
    assert (states[0] - expected).abs().max() < 1e-10
