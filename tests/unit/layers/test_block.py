"""A block gives the same whether it reads at once or step by step, alone or in company."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zhixing.errors import DataError
from zhixing.layers.block import Block, BlockConfig, StackContext, StepContext
from zhixing.layers.cache import BeamMask, spare_mask
from zhixing.layers.dropout import Noise
from zhixing.layers.positions import LinearBias, RelativeBias, Rotary
from zhixing.layers.ragged import Ragged, last_positions
from zhixing.layers.residual import NormPlace

SIZE, HEADS = 8, 2
LENGTHS = (4, 7, 5)
PLACES: dict[str, Callable[[], StackContext]] = {
    "nothing": lambda: StackContext(is_causal=True),
    "rotary": lambda: StackContext(is_causal=True, rotary=Rotary(SIZE // HEADS)),
    "relative": lambda: StackContext(is_causal=True, bias=_relative()),
    "linear": lambda: StackContext(is_causal=True, bias=LinearBias(HEADS)),
}


def _relative() -> RelativeBias:
    bias = RelativeBias(HEADS, num_buckets=8, max_distance=16, is_causal=True)
    torch.nn.init.normal_(bias.weight, generator=torch.Generator().manual_seed(5))
    return bias


def _block(
    *, norm: NormPlace = "pre", crosses: bool = False, num_key_value_heads: int | None = None
) -> Block:
    form = BlockConfig(
        num_heads=HEADS,
        feed_forward_size=12,
        activation="gelu",
        norm=norm,
        norm_eps=1e-6,
        num_key_value_heads=num_key_value_heads,
    )
    block = Block(SIZE, form, has_cross_attention=crosses).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, mean=0.2, std=0.5, generator=generator)
    return block


def _random(rows: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, SIZE, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("crosses", [False, True])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("num_shared", [None, 1])
@pytest.mark.parametrize("places", PLACES)
def test_a_prefill_and_steps_equal_all_at_once(
    places: str, num_shared: int | None, norm: NormPlace, crosses: bool
) -> None:
    block = _block(norm=norm, crosses=crosses, num_key_value_heads=num_shared)
    context, cpu = PLACES[places](), torch.device("cpu")
    memory, memory_mask = None, None
    if crosses:
        memory = Ragged(_random(9, seed=2), (2, 4, 3))
        memory_mask = spare_mask(memory.lengths, torch.float64, cpu)
    texts = [_random(length + 3, seed=length) for length in LENGTHS]
    x, cache, crossing = block.prefill(
        torch.cat([text[:-3] for text in texts]),
        LENGTHS,
        context,
        memory=memory,
        memory_mask=memory_mask,
    )
    beam_mask = BeamMask.of(LENGTHS, torch.float64, cpu)
    for steps in range(4):
        if steps:
            beam_mask.grow()
            added = beam_mask.scores_added(context.bias)
            positions = torch.tensor([length + steps - 1 for length in LENGTHS])
            told = StepContext(positions=positions, scores_added=added, rotary=context.rotary)
            new = torch.stack([text[steps - 4] for text in texts])
            x, cache = block.step(new, told, cache, crossing)
        lengths = tuple(length + steps for length in LENGTHS)
        read = torch.cat([text[:n] for text, n in zip(texts, lengths, strict=True)])
        at_once = block(read, lengths, context, memory=memory)
        last = x if steps else last_positions(x, LENGTHS)
        assert (last - last_positions(at_once, lengths)).abs().max() < 1e-10


def test_a_block_without_cross_attention_keeps_nothing_of_a_memory() -> None:
    context = StackContext(is_causal=True)
    assert _block().prefill(_random(16), LENGTHS, context)[2] is None


@pytest.mark.parametrize("places", PLACES)
def test_the_future_changes_no_past_value(places: str) -> None:
    block, x, context = _block(), _random(16), PLACES[places]()
    changed = x.clone()
    changed[7:11] = _random(4, seed=9)
    before, after = (block(values, LENGTHS, context) for values in (x, changed))
    untouched = [i for i in range(16) if not 7 <= i < 11]
    assert (before[untouched] - after[untouched]).abs().max() < 1e-10
    assert (before[7:11] - after[7:11]).abs().max() > 1e-3


def test_where_nothing_is_causal_the_future_counts() -> None:
    block, x = _block(), _random(16)
    changed = x.clone()
    changed[10] = _random(1, seed=9)[0]
    before, after = (block(values, LENGTHS, StackContext()) for values in (x, changed))
    assert (before[4:11] - after[4:11]).abs().amax(1).min() > 1e-6
    assert (before[:4] - after[:4]).abs().max() < 1e-10


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_sublayers_stand_in_the_order_of_the_paper(norm: NormPlace) -> None:
    block, x = _block(norm=norm, crosses=True), _random(16)
    memory = Ragged(_random(9, seed=2), (2, 4, 3))
    key, value = block.cross_attention.project_memory(memory.values)

    def crossing(y: Tensor) -> Tensor:
        query = block.cross_attention.project_query(y)
        return block.cross_attention.attend_to(
            query, key, value, lengths=LENGTHS, attended_lengths=memory.lengths
        )

    def attention(y: Tensor) -> Tensor:
        query, key, value = block.attention.project(y, rotary=None, positions=None)
        return block.attention.attend_to(
            query, key, value, lengths=LENGTHS, attended_lengths=LENGTHS
        )

    expected = x
    for norm_layer, sublayer in (
        (block.attention_residual.norm, attention),
        (block.cross_residual.norm, crossing),
        (block.feed_forward_residual.norm, block.feed_forward),
    ):
        if norm == "pre":
            expected = expected + sublayer(norm_layer(expected))
        else:
            expected = norm_layer(expected + sublayer(expected))
    found = block(x, LENGTHS, StackContext(), memory=memory)
    assert (found - expected).abs().max() < 1e-10


def test_the_memory_of_a_neighbour_changes_nothing() -> None:
    block, x, memory = _block(crosses=True), _random(16), _random(9, seed=2)
    changed = memory.clone()
    changed[2:6] += 5.0
    before, after = (
        block(x, LENGTHS, StackContext(), memory=Ragged(values, (2, 4, 3)))
        for values in (memory, changed)
    )
    assert (before - after)[4:11].abs().max() > 1e-6
    assert (before - after)[:4].abs().max() < 1e-10
    assert (before - after)[11:].abs().max() < 1e-10


def test_a_block_that_asks_a_memory_refuses_to_go_without() -> None:
    message = "this block attends to a memory, but none was given; encode first"
    with pytest.raises(DataError, match=message):
        _block(crosses=True)(_random(16), LENGTHS, StackContext())


@pytest.mark.parametrize("crosses", [False, True])
@pytest.mark.parametrize("which", ["dropout", "attention_dropout"])
def test_dropout_follows_from_the_noise_alone(which: str, crosses: bool) -> None:
    block, x = _block(crosses=crosses), _random(16)
    memory = Ragged(_random(9, seed=2), (2, 4, 3)) if crosses else None
    context = StackContext(**{which: 0.3})

    def result(noise: Noise | None) -> Tensor:
        return block(x, LENGTHS, context, memory=memory, noise=noise)

    assert torch.equal(result(Noise((1,))), result(Noise((1,))))
    assert not torch.equal(result(Noise((1,))), result(Noise((2,))))
    assert torch.equal(result(None), block(x, LENGTHS, StackContext(), memory=memory))


def test_attention_dropout_falls_on_the_memory_too() -> None:
    block, x = _block(crosses=True), _random(16)
    memory = Ragged(_random(9, seed=2), (2, 4, 3))
    with torch.no_grad():
        block.attention.output.weight.zero_()
    context = StackContext(attention_dropout=0.5)
    still, dropped = (
        block(x, LENGTHS, context, memory=memory, noise=noise) for noise in (None, Noise((1,)))
    )
    assert (still - dropped).abs().max() > 1e-3


def test_every_sublayer_has_its_own_mask() -> None:
    block, x = _block(), torch.zeros(16, SIZE, dtype=torch.float64)
    with torch.no_grad():
        for layer in (block.attention.output, block.feed_forward.contract):
            layer.weight.zero_()
            layer.bias.fill_(1.0)
    result = block(x, LENGTHS, StackContext(dropout=0.5), noise=Noise((1,)))
    # Each sublayer adds 0 or 2: with one mask for both there would be no 2 in the sums.
    assert sorted(result.unique().tolist()) == [0.0, 2.0, 4.0]


def test_the_tap_reads_what_the_block_hands_on() -> None:
    block, x = _block(), _random(16)
    seen: list[Tensor] = []
    block.result.register_forward_hook(lambda _m, _i, result: seen.append(result))
    assert torch.equal(block(x, LENGTHS, StackContext()), seen[0])
