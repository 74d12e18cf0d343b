"""A stack is its blocks: a decoder alone is held against the textbook, written out in loops."""

import cmath
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from zhixing.errors import DataError
from zhixing.layers.block import Block
from zhixing.layers.positions import RotaryScaling
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.stack import Stack
from zhixing.models.transformer import Transformer

HEADS, SHARED, SIZE = 4, 2, 4
CONFIG = ModelConfig(
    vocab_size=9,
    hidden_size=10,
    encoder_layers=0,
    decoder_layers=2,
    num_heads=HEADS,
    num_key_value_heads=SHARED,
    head_size=SIZE,
    feed_forward_size=7,
    activation="silu",
    is_gated=True,
    norm="pre",
    norm_kind="rms",
    norm_eps=1e-5,
    linear_bias=False,
    positions="rotary",
    rotary_base=50.0,
    embedding_norm=False,
    max_positions=None,
    head="next_token",
    tie_output=False,
)


def drawn(config: ModelConfig) -> Transformer:
    model = Transformer(config).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.5, generator=generator)
    return model


def normed(x: list[float], weight: Tensor) -> Tensor:
    root = math.sqrt(sum(value * value for value in x) / len(x) + 1e-5)
    return torch.tensor([value / root * w for value, w in zip(x, weight.tolist(), strict=True)])


def turned(vector: Tensor, position: int) -> list[float]:
    """Turn the pairs (i, i + 2) of a head of four as complex numbers, base 50."""
    pairs = [complex(float(vector[i]), float(vector[i + 2])) for i in range(2)]
    angles = [position * 50.0 ** (-2 * i / SIZE) for i in range(2)]
    pairs = [pair * cmath.exp(1j * angle) for pair, angle in zip(pairs, angles, strict=True)]
    return [pair.real for pair in pairs] + [pair.imag for pair in pairs]


def attended(block: Block, inputs: list[Tensor]) -> list[Tensor]:
    """Grouped-query attention under a causal mask, head by head and position by position."""
    rows = block.attention.query_key_value.weight.view(-1, SIZE, 10)
    queries, keys, values = rows[:HEADS], rows[HEADS : HEADS + SHARED], rows[HEADS + SHARED :]
    results = []
    for position, x in enumerate(inputs):
        joined = []
        for head in range(HEADS):
            # Heads 0 and 1 read the first keys and values, 2 and 3 the second.
            shared = 0 if head < 2 else 1
            query = turned(queries[head] @ x, position)
            scores = [
                sum(a * b for a, b in zip(query, turned(keys[shared] @ y, j), strict=True)) / 2.0
                for j, y in enumerate(inputs[: position + 1])
            ]
            exponentials = [math.exp(score) for score in scores]
            joined.append(
                sum(
                    e / sum(exponentials) * (values[shared] @ y)
                    for e, y in zip(exponentials, inputs, strict=False)
                )
            )
        results.append(block.attention.output.weight @ torch.cat(joined))
    return results


def fed_forward(block: Block, x: Tensor) -> Tensor:
    gate, up = (block.feed_forward.expand.weight @ x).chunk(2)
    return block.feed_forward.contract.weight @ (gate / (1 + (-gate).exp()) * up)


@torch.no_grad()
def by_hand(model: Transformer, ids: list[int]) -> Tensor:
    stream = [model.embedding.tokens.weight[i] for i in ids]
    for block in model.decoder.blocks:
        inner = [normed(x.tolist(), block.attention_residual.norm.weight) for x in stream]
        stream = [x + y for x, y in zip(stream, attended(block, inner), strict=True)]
        inner = [normed(x.tolist(), block.feed_forward_residual.norm.weight) for x in stream]
        stream = [x + fed_forward(block, y) for x, y in zip(stream, inner, strict=True)]
    last = [normed(x.tolist(), model.decoder.norm.weight) for x in stream]
    return torch.stack([model.next_token.output.weight @ x for x in last])


@pytest.fixture(autouse=True)
def in_float64() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_a_decoder_alone_is_the_textbooks() -> None:
    model = drawn(CONFIG)
    ids = [3, 1, 4, 1, 5]
    expected = by_hand(model, ids)
    texts = Ragged(torch.tensor([*ids, 7, 2]), (5, 2))
    logits = model.next_logits(model(texts))
    assert (logits[:5] - expected).abs().max() < 1e-10
    assert (logits[5:] - by_hand(model, [7, 2])).abs().max() < 1e-10
    assert torch.equal(model.next_logits(model.decoder_states(None, texts)), logits)
    states, _ = model.start(None, texts)
    assert (model.next_logits(states)[0] - expected[4]).abs().max() < 1e-10


def test_a_decoder_alone_has_no_weight_that_it_does_not_use() -> None:
    for positions in ("learned", "relative"):
        config = replace(CONFIG, positions=positions, max_positions=8, norm="pre")
        model = drawn(config)
        assert model.decoder_embedding is None
        assert all(block.cross_attention is None for block in model.decoder.blocks)
        model.next_logits(model(Ragged(torch.tensor([1, 2]), (2,)))).sum().backward()
        assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_an_encoder_is_read_where_there_is_one_and_nowhere_else() -> None:
    texts = Ragged(torch.tensor([1, 2]), (2,))
    alone, both = drawn(CONFIG), drawn(replace(CONFIG, encoder_layers=1))
    with pytest.raises(DataError, match="the model has no encoder: give input_ids=None, and the"):
        alone.start(texts, texts)
    with pytest.raises(DataError, match="the model has an encoder: give what it reads as input_i"):
        both.start(None, texts)
    assert both.start(texts, texts)[0].shape == alone.start(None, texts)[0].shape


@pytest.mark.parametrize("crosses", [False, True])
@pytest.mark.parametrize("is_causal", [False, True])
def test_the_causal_mask_and_cross_attention_are_two_settings(
    is_causal: bool, crosses: bool
) -> None:
    stack = Stack(CONFIG, num_layers=1, is_causal=is_causal, has_cross_attention=crosses)
    for seed, parameter in enumerate(stack.parameters()):
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    x = torch.randn(3, 10, generator=torch.Generator().manual_seed(9))
    changed = torch.cat((x[:2], x[2:] + 1.0))
    memory = Ragged(x, (3,)) if crosses else None
    before, after = (stack(y, (3,), memory=memory)[:2] for y in (x, changed))
    assert bool((before == after).all()) == is_causal
    assert (stack.blocks[0].cross_attention is not None) == crosses


def test_base_and_scaling_of_rotary_positions_are_the_configurations() -> None:
    config = replace(
        CONFIG,
        rotary_scaling="llama3",
        rotary_scaling_factor=8.0,
        rotary_low_factor=2.0,
        rotary_high_factor=3.0,
        rotary_trained_positions=16,
    )
    for stack in (drawn(config).decoder, drawn(replace(config, encoder_layers=1)).encoder):
        assert stack.rotary is not None
        assert (stack.rotary.head_size, stack.rotary.base) == (SIZE, 50.0)
        assert stack.rotary.scaling == RotaryScaling("llama3", 8.0, 2.0, 3.0, 16)


def test_a_stack_without_blocks_hands_on_its_input() -> None:
    stack = Stack(replace(CONFIG, positions="relative"), num_layers=0)
    x = torch.randn(3, 10)
    assert torch.equal(stack(x, (3,)), x)
    assert not list(stack.parameters())
