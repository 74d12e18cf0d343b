"""What holds of the layers for every batch, not only for the few in the unit tests."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from zhixing.layers.attention import attend, attend_plainly
from zhixing.layers.block import Block, BlockConfig, StackContext, StepContext
from zhixing.layers.cache import BeamMask
from zhixing.layers.dropout import Noise, drop
from zhixing.layers.kernels.rectangles import cells_of_rows, plan_groups, rectangle
from zhixing.layers.positions import Convolutional, LinearBias, PositionBias, RelativeBias, Rotary
from zhixing.layers.ragged import (
    Ragged,
    last_positions,
    position_numbers,
    sequence_means,
    starts,
)
from zhixing.layers.residual import NormPlace

HEADS, SIZE = 2, 8
# Short ones share rectangles, long ones get their own.
LENGTH = st.one_of(st.integers(1, 9), st.integers(40, 100))
batches = st.lists(LENGTH, min_size=1, max_size=6).map(tuple)
short_batches = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple)
seeds = st.integers(0, 2**31)
relaxed = settings(max_examples=40, deadline=None)
quick = settings(max_examples=15, deadline=None)


def _drawn(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.5, generator=generator)
    return module


RELATIVE = _drawn(RelativeBias(HEADS, num_buckets=8, max_distance=20))
biases = st.sampled_from([None, LinearBias(HEADS), RELATIVE])
ROTARY = Rotary(SIZE // HEADS)
CAUSAL = {
    "nothing": StackContext(is_causal=True),
    "rotary": StackContext(is_causal=True, rotary=ROTARY),
    "relative": StackContext(is_causal=True, bias=RELATIVE),
    "linear": StackContext(is_causal=True, bias=LinearBias(HEADS)),
}
surrounded = st.sampled_from(list(CAUSAL)).map(CAUSAL.__getitem__)
norms = st.sampled_from(["pre", "post"])


def _block(norm: NormPlace, dtype: torch.dtype = torch.float64) -> Block:
    form = BlockConfig(
        num_heads=HEADS, feed_forward_size=12, activation="gelu", norm=norm, norm_eps=1e-5
    )
    block = Block(SIZE, form)
    return _drawn(block).to(dtype)


def _random(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


@relaxed
@given(
    pairs=st.lists(st.tuples(LENGTH, LENGTH), min_size=1, max_size=6),
    num_shared=st.sampled_from([1, HEADS]),
    is_causal=st.booleans(),
    bias=biases,
    seed=seeds,
)
def test_the_fast_path_equals_the_plain_one(
    pairs: list[tuple[int, int]],
    num_shared: int,
    is_causal: bool,
    bias: PositionBias | None,
    seed: int,
) -> None:
    if is_causal:
        pairs = [(min(pair), max(pair)) for pair in pairs]
    lengths, attended = (tuple(side) for side in zip(*pairs, strict=True))
    query = _random(sum(lengths), HEADS, 4, seed=seed)
    key, value = (_random(sum(attended), num_shared, 4, seed=seed + i) for i in (1, 2))
    options = {
        "lengths": lengths,
        "attended_lengths": attended,
        "is_causal": is_causal,
        "bias": bias,
    }
    fast, plain = (f(query, key, value, **options) for f in (attend, attend_plainly))
    assert (fast - plain).abs().max() < 1e-10


@relaxed
@given(lengths=batches, same_offset=st.booleans(), data=st.data())
def test_every_row_lies_in_one_cell(
    lengths: tuple[int, ...], same_offset: bool, data: st.DataObject
) -> None:
    attended = tuple(data.draw(LENGTH) for _ in lengths)
    groups = plan_groups(lengths, attended, same_offset=same_offset)
    assert sorted(i for group in groups for i in group.sequences) == list(range(len(lengths)))
    rows = torch.arange(float(sum(lengths))).view(-1, 1, 1)
    laid = [rectangle(rows, lengths, g.sequences, g.length, g.start) for g in groups]
    slots = torch.cat([slot.transpose(1, 2).flatten(0, 1) for slot in laid])
    assert torch.equal(slots[cells_of_rows(lengths, groups)], rows)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@relaxed
@given(lengths=batches, norm=norms, context=surrounded, seed=seeds)
def test_a_neighbour_changes_nothing(
    dtype: torch.dtype,
    tolerance: float,
    lengths: tuple[int, ...],
    norm: NormPlace,
    context: StackContext,
    seed: int,
) -> None:
    block = _block(norm, dtype)
    batch = Ragged(_random(sum(lengths), SIZE, seed=seed, dtype=dtype), lengths)
    together = batch.with_values(block(batch.values, lengths, context))
    for part, found in zip(batch.split(), together.split(), strict=True):
        alone = block(part, (len(part),), context)
        assert (found - alone).abs().max() <= tolerance * alone.abs().max()


@relaxed
@given(lengths=batches, norm=norms, context=surrounded, data=st.data(), seed=seeds)
def test_the_order_of_the_batch_changes_nothing(
    lengths: tuple[int, ...],
    norm: NormPlace,
    context: StackContext,
    data: st.DataObject,
    seed: int,
) -> None:
    order = data.draw(st.permutations(range(len(lengths))))
    block, batch = _block(norm), Ragged(_random(sum(lengths), SIZE, seed=seed), lengths)
    shuffled = batch.select(order)
    expected = batch.with_values(block(batch.values, lengths, context)).select(order)
    found = block(shuffled.values, shuffled.lengths, context)
    assert (found - expected.values).abs().max() < 1e-10


@quick
@given(lengths=short_batches, norm=norms, context=surrounded, data=st.data(), seed=seeds)
def test_any_split_of_a_batch_gives_the_same_gradient(
    lengths: tuple[int, ...],
    norm: NormPlace,
    context: StackContext,
    data: st.DataObject,
    seed: int,
) -> None:
    block, batch = _block(norm), Ragged(_random(sum(lengths), SIZE, seed=seed), lengths)
    goals = batch.with_values(_random(sum(lengths), SIZE, seed=seed + 1))

    def gradients(parts: list[list[int]]) -> list[Tensor]:
        block.zero_grad()
        for part in filter(None, parts):
            chosen, goal = batch.select(part), goals.select(part)
            (block(chosen.values, chosen.lengths, context) * goal.values).sum().backward()
        return [p.grad.clone() for p in block.parameters() if p.grad is not None]

    cut = data.draw(st.integers(0, len(lengths)))
    everything = list(range(len(lengths)))
    whole, split = gradients([everything]), gradients([everything[:cut], everything[cut:]])
    assert max(gradient.abs().max() for gradient in whole) > 0
    for one, other in zip(whole, split, strict=True):
        assert (one - other).abs().max() <= 1e-10 * max(1.0, float(one.abs().max()))


@relaxed
@given(lengths=batches, norm=norms, context=surrounded, data=st.data(), seed=seeds)
def test_the_future_changes_no_past_value(
    lengths: tuple[int, ...],
    norm: NormPlace,
    context: StackContext,
    data: st.DataObject,
    seed: int,
) -> None:
    block, x = _block(norm), _random(sum(lengths), SIZE, seed=seed)
    sequence = data.draw(st.integers(0, len(lengths) - 1))
    place = data.draw(st.integers(0, lengths[sequence] - 1))
    first = starts(lengths)[sequence]
    future = slice(first + place, first + lengths[sequence])
    changed = x.clone()
    changed[future] = _random(lengths[sequence] - place, SIZE, seed=seed + 1)
    before, after = (block(values, lengths, context) for values in (x, changed))
    difference = (before - after).abs().amax(1)
    assert difference[future][0] > 1e-8
    difference[future] = 0.0
    assert difference.max() < 1e-10


@quick
@given(
    prompts=short_batches,
    steps=st.integers(1, 6),
    norm=norms,
    context=surrounded,
    data=st.data(),
    seed=seeds,
)
def test_cached_equals_uncached(
    prompts: tuple[int, ...],
    steps: int,
    norm: NormPlace,
    context: StackContext,
    data: st.DataObject,
    seed: int,
) -> None:
    block = _block(norm)
    batch = Ragged(_random(sum(prompts), SIZE, seed=seed), prompts)
    texts = [[prompt] for prompt in batch.split()]
    _, cache, _ = block.prefill(batch.values, prompts, context)
    beam_mask = BeamMask.of(prompts, torch.float64, torch.device("cpu"))
    width = 1
    for step in range(steps):
        # Whatever a beam search may choose: other hypotheses, more or fewer, and some sequences
        # that end.
        old, width = width, data.draw(st.integers(1, 3))
        chosen = [
            data.draw(st.lists(st.integers(0, old - 1), min_size=width, max_size=width))
            for _ in texts[::old]
        ]
        beam_mask.descend(torch.tensor(chosen))
        texts = [texts[i * old + j] for i, parents in enumerate(chosen) for j in parents]
        order = data.draw(st.permutations(range(len(texts) // width)))
        order = order[: data.draw(st.integers(1, len(order)))]
        cache = cache.keep(order)
        beam_mask.keep(order)
        texts = [texts[i * width + j] for i in order for j in range(width)]
        new = _random(len(texts), SIZE, seed=seed + step + 1)
        texts = [[*text, part] for text, part in zip(texts, new.split(1), strict=True)]
        beam_mask.grow()
        told = StepContext(
            positions=torch.tensor([sum(map(len, text)) - 1 for text in texts]),
            scores_added=beam_mask.scores_added(context.bias),
            rotary=context.rotary,
        )
        stepped, cache = block.step(new, told, cache)
        batch = Ragged.of(torch.cat(text) for text in texts)
        at_once = last_positions(block(batch.values, batch.lengths, context), batch.lengths)
        assert (stepped - at_once).abs().max() < 1e-10


@quick
@given(lengths=batches, norm=norms, context=surrounded, seed=seeds)
def test_watched_equals_unwatched(
    lengths: tuple[int, ...], norm: NormPlace, context: StackContext, seed: int
) -> None:
    block, x = _block(norm), _random(sum(lengths), SIZE, seed=seed)
    unwatched = block(x, lengths, context)
    seen: list[Tensor] = []
    block.attention.weights.register_forward_hook(lambda _m, _i, result: seen.append(result))
    assert (block(x, lengths, context) - unwatched).abs().max() < 1e-10
    assert tuple(weights.size(-1) for weights in seen) == lengths


@relaxed
@given(
    lengths=batches,
    width=st.integers(0, 6).map(lambda half: 2 * half + 1),
    seed=seeds,
)
def test_the_fast_convolution_equals_the_plain_one(
    lengths: tuple[int, ...], width: int, seed: int
) -> None:
    convolution = _drawn(Convolutional(SIZE, width=width)).double()
    x = _random(sum(lengths), SIZE, seed=seed)
    assert (convolution(x, lengths) - convolution.plain(x, lengths)).abs().max() < 1e-12


@relaxed
@given(own=st.integers(0, 100_000), shift=st.integers(0, 100_000), seed=seeds)
def test_a_rotary_product_depends_on_the_distance_alone(own: int, shift: int, seed: int) -> None:
    query, key = (_random(1, HEADS, 4, seed=seed + i) for i in (0, 1))
    products = [
        (ROTARY(query, torch.tensor([a])) * ROTARY(key, torch.tensor([a + 7]))).sum(-1)
        for a in (own, own + shift)
    ]
    assert (products[0] - products[1]).abs().max() < 1e-8


@relaxed
@given(lengths=batches)
def test_positions_count_up_within_every_sequence(lengths: tuple[int, ...]) -> None:
    numbers = position_numbers(lengths, torch.device("cpu"))
    assert numbers.tolist() == [place for length in lengths for place in range(length)]


@relaxed
@given(lengths=batches, seed=seeds)
def test_means_are_those_of_each_sequence_by_itself(lengths: tuple[int, ...], seed: int) -> None:
    batch = Ragged(_random(sum(lengths), SIZE, seed=seed), lengths)
    expected = torch.stack([part.mean(0) for part in batch.split()])
    assert (sequence_means(batch.values, lengths) - expected).abs().max() < 1e-12


@relaxed
@given(
    names=st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4).map(tuple),
    others=st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4).map(tuple),
    rate=st.floats(0.05, 0.95),
)
def test_a_mask_is_a_function_of_its_name(
    names: tuple[int | str, ...], others: tuple[int | str, ...], rate: float
) -> None:
    x = torch.ones(1000)
    dropped = drop(x, rate, Noise(names))
    assert torch.equal(dropped, drop(x, rate, Noise(()).at(*names)))
    assert torch.equal(dropped, drop(x, rate, Noise(others))) == (names == others)
