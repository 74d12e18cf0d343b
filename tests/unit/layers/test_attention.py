"""Attention gives the textbook's numbers, and the fast path gives those of the plain one."""

import math
from collections.abc import Callable
from itertools import accumulate

import pytest
import torch
from torch import Tensor

from zhixing.errors import DataError
from zhixing.layers.attention import (
    attend,
    attend_plainly,
    attention_weights,
    check_lengths,
    distances,
)
from zhixing.layers.dropout import Dropout, Noise
from zhixing.layers.positions import LinearBias, PositionBias, RelativeBias

HEADS, SIZE = 3, 4
LENGTHS = {
    "one sequence": (5,),
    "equal": (4, 4, 4),
    "nearly equal": (4, 6, 5),
    "equal but not in a row": (3, 60, 3, 60),
    "far apart": (1, 90, 7, 2),
    "only the longest is square": (6, 5, 4),
}
ATTENDED = {
    "one sequence": (8,),
    "equal": (6, 6, 6),
    "nearly equal": (5, 6, 9),
    "equal but not in a row": (3, 64, 5, 60),
    "far apart": (70, 91, 7, 12),
    "only the longest is square": (6, 6, 5),
}
BIASES: dict[str, Callable[[], PositionBias | None]] = {
    "no bias": lambda: None,
    "relative bias": lambda: _drawn(RelativeBias(HEADS)),
    "causal relative bias": lambda: _drawn(RelativeBias(HEADS, is_causal=True)),
    "linear bias": lambda: LinearBias(HEADS),
}


def _drawn(bias: RelativeBias) -> RelativeBias:
    torch.nn.init.normal_(bias.weight, generator=torch.Generator().manual_seed(3))
    return bias


def _random(rows: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, HEADS, SIZE, generator=generator, dtype=dtype)


def _batch(lengths: tuple[int, ...], attended: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    return _random(sum(lengths), 0), _random(sum(attended), 1), _random(sum(attended), 2)


def test_weights_are_the_softmax_of_the_scaled_products() -> None:
    query = torch.tensor([[[2.0, 0.0, 0.0, 0.0]]])
    key = torch.tensor([[[math.log(3.0), 0.0, 0.0, 0.0], [0.0, 5.0, 5.0, 5.0]]])
    # The products are 2 log 3 and 0, the square root of 4 is 2: e^(log 3) stands against e^0.
    torch.testing.assert_close(attention_weights(query, key), torch.tensor([[[0.75, 0.25]]]))


def test_a_causal_position_sees_itself_and_what_came_before() -> None:
    weights = attention_weights(torch.zeros(1, 3, 2), torch.zeros(1, 3, 2), is_causal=True)
    third = 1 / 3
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [third, third, third]])
    torch.testing.assert_close(weights[0], expected)


def test_own_and_attended_positions_are_aligned_at_their_ends() -> None:
    weights = attention_weights(torch.zeros(1, 2, 2), torch.zeros(1, 4, 2), is_causal=True)
    third = 1 / 3
    expected = torch.tensor([[third, third, third, 0.0], [0.25, 0.25, 0.25, 0.25]])
    torch.testing.assert_close(weights[0], expected)


def test_a_bias_is_added_to_the_scores() -> None:
    bias = torch.tensor([[[math.log(4.0), 0.0]]])
    weights = attention_weights(torch.zeros(1, 1, 2), torch.zeros(1, 2, 2), bias=bias)
    torch.testing.assert_close(weights, torch.tensor([[[0.8, 0.2]]]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_weights_keep_the_dtype_of_the_query(dtype: torch.dtype) -> None:
    query, key = _random(2, 0, dtype), _random(5, 1, dtype)
    weights = attention_weights(query.transpose(0, 1), key.transpose(0, 1))
    assert weights.dtype == dtype
    wide = torch.promote_types(dtype, torch.float32)
    scores = (query.transpose(0, 1) @ key.transpose(0, 1).mT / 2.0).to(wide)
    torch.testing.assert_close(weights, scores.softmax(-1).to(dtype))


def test_distances_are_attended_minus_own_position() -> None:
    device = torch.device("cpu")
    assert distances(2, 4, device).tolist() == [[-2, -1, 0, 1], [-3, -2, -1, 0]]
    assert distances(3, 1, device).tolist() == [[2], [1], [0]]


def test_the_attended_values_are_weighed() -> None:
    query, key = torch.zeros(3, 1, 2), torch.zeros(3, 1, 2)
    value = torch.tensor([[[2.0, 0.0]], [[4.0, 6.0]], [[7.0, 8.0]]])
    settings = {"lengths": (2, 1), "attended_lengths": (2, 1)}
    expected = torch.tensor([[[3.0, 3.0]], [[3.0, 3.0]], [[7.0, 8.0]]])
    torch.testing.assert_close(attend_plainly(query, key, value, **settings), expected)
    torch.testing.assert_close(attend(query, key, value, **settings), expected)


def test_the_watcher_sees_each_sequence_in_order_and_may_change_it() -> None:
    query, key, value = _batch((2, 3), (4, 3))
    seen: list[Tensor] = []

    def silence(weights: Tensor) -> Tensor:
        seen.append(weights)
        return torch.zeros_like(weights)

    result = attend_plainly(
        query, key, value, lengths=(2, 3), attended_lengths=(4, 3), watch=silence
    )
    assert [tuple(weights.shape) for weights in seen] == [(HEADS, 2, 4), (HEADS, 3, 3)]
    for weights in seen:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
    assert result.abs().max() == 0.0


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("reach", ["to itself", "to a memory"])
@pytest.mark.parametrize("name", LENGTHS)
def test_the_fast_path_equals_the_plain_one(
    name: str, reach: str, is_causal: bool, bias: str
) -> None:
    lengths = LENGTHS[name]
    attended = lengths if reach == "to itself" else ATTENDED[name]
    settings = {
        "lengths": lengths,
        "attended_lengths": attended,
        "is_causal": is_causal,
        "bias": BIASES[bias](),
    }
    batch = _batch(lengths, attended)
    difference = attend(*batch, **settings) - attend_plainly(*batch, **settings)
    assert difference.abs().max() < 1e-10


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("name", ["equal", "equal but not in a row", "far apart"])
@pytest.mark.parametrize("more", range(8, 25))
def test_columns_that_were_filled_up_change_nothing(
    name: str, dtype: torch.dtype, tolerance: float, more: int
) -> None:
    lengths = LENGTHS[name] * 8
    attended = tuple(length + more for length in lengths)
    batch = [x.to(dtype) for x in _batch(lengths, attended)]
    found = attend(*batch, lengths=lengths, attended_lengths=attended)
    exact = [x.double() for x in batch]
    plain = attend_plainly(*exact, lengths=lengths, attended_lengths=attended)
    assert (found - plain).abs().max() < tolerance * plain.abs().max()


def test_more_own_than_attended_positions_are_welcome_where_nothing_is_causal() -> None:
    batch = _batch((9, 3), (2, 4))
    for bias in (None, LinearBias(HEADS)):
        settings = {"lengths": (9, 3), "attended_lengths": (2, 4), "bias": bias}
        difference = attend(*batch, **settings) - attend_plainly(*batch, **settings)
        assert difference.abs().max() < 1e-10


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("is_causal", [False, True])
def test_the_fast_path_has_the_gradients_of_the_plain_one(is_causal: bool, bias: str) -> None:
    def gradients(function: Callable[..., Tensor]) -> list[Tensor]:
        batch = [x.requires_grad_() for x in _batch((4, 6, 5), (5, 6, 9))]
        places = BIASES[bias]()
        learned = [] if places is None else list(places.parameters())
        result = function(
            *batch,
            lengths=(4, 6, 5),
            attended_lengths=(5, 6, 9),
            is_causal=is_causal,
            bias=places,
        )
        return list(torch.autograd.grad((result * _random(15, 5)).sum(), [*batch, *learned]))

    fast, plain = gradients(attend), gradients(attend_plainly)
    assert fast[0].abs().max() > 0
    for one, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 if len(one) == 32 else 1e-10)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("is_causal", [False, True])
def test_a_neighbour_changes_nothing(dtype: torch.dtype, tolerance: float, is_causal: bool) -> None:
    lengths = (7, 2, 40, 7, 9)
    query, key, value = (_random(sum(lengths), seed, dtype) for seed in range(3))
    together = attend(
        query, key, value, lengths=lengths, attended_lengths=lengths, is_causal=is_causal
    )
    firsts = [0, *accumulate(lengths)]
    for i, length in enumerate(lengths):
        own = slice(firsts[i], firsts[i] + length)
        alone = attend(
            query[own],
            key[own],
            value[own],
            lengths=(length,),
            attended_lengths=(length,),
            is_causal=is_causal,
        )
        assert (together[own] - alone).abs().max() <= tolerance * alone.abs().max()


@pytest.mark.parametrize("bias", [None, LinearBias(HEADS)])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("attended", [(4, 6, 5), (5, 6, 9)])
def test_dropout_with_the_same_noise_falls_alike(
    attended: tuple[int, ...], is_causal: bool, bias: PositionBias | None
) -> None:
    batch = _batch((4, 6, 5), attended)

    def result(noise: Noise | None, rate: float) -> Tensor:
        return attend(
            *batch,
            lengths=(4, 6, 5),
            attended_lengths=attended,
            is_causal=is_causal,
            bias=bias,
            dropout=None if noise is None else Dropout(rate, noise),
        )

    dropped = result(Noise(("run", 1)), 0.5)
    assert torch.equal(dropped, result(Noise(("run", 1)), 0.5))
    assert not torch.equal(dropped, result(Noise(("run", 2)), 0.5))
    assert not torch.equal(dropped, result(None, 0.5))
    assert torch.equal(result(Noise(("run", 1)), 0.0), result(None, 0.0))


@pytest.mark.parametrize("bias", [None, LinearBias(HEADS)])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("attended", [(4, 6, 5), (5, 6, 9)])
def test_the_dropped_path_without_a_drop_equals_the_plain_one(
    attended: tuple[int, ...], is_causal: bool, bias: PositionBias | None
) -> None:
    batch = _batch((4, 6, 5), attended)
    settings = {
        "lengths": (4, 6, 5),
        "attended_lengths": attended,
        "is_causal": is_causal,
        "bias": bias,
    }
    # This rate rounds to zero sixty-five-thousandths, but takes the path that forms the weights.
    dropped = attend(*batch, **settings, dropout=Dropout(1e-9, Noise((0,))))
    assert (dropped - attend_plainly(*batch, **settings)).abs().max() < 1e-10


def test_dropout_keeps_the_mean() -> None:
    batch = _batch((4, 6), (4, 6))
    settings = {"lengths": (4, 6), "attended_lengths": (4, 6)}
    kept = attend(*batch, **settings)
    several = [attend(*batch, **settings, dropout=Dropout(0.2, Noise((i,)))) for i in range(2000)]
    assert (torch.stack(several).mean(0) - kept).abs().max() < 0.06


def test_a_prediction_leaves_nothing_that_training_cannot_use() -> None:
    lengths = (11, 13, 12)
    batch = _batch(lengths, lengths)
    with torch.inference_mode():
        attend(*batch, lengths=lengths, attended_lengths=lengths)
    query = batch[0].requires_grad_()
    attend(query, *batch[1:], lengths=lengths, attended_lengths=lengths).sum().backward()
    assert query.grad is not None
    assert query.grad.abs().max() > 0


REFUSED = [
    ((), (), False, "0 sequences cannot attend to 0; both batches need the same number"),
    ((2,), (2, 3), False, "1 sequences cannot attend to 2; both batches need the same number"),
    ((2, 0), (2, 3), False, "sequence 1 has 0 own and 3 attended positions; each needs at least"),
    ((2, 1), (0, 3), False, "sequence 0 has 2 own and 0 attended positions; each needs at least"),
    ((2, 4), (2, 3), True, "sequence 1 has 4 own and 3 attended positions; each needs at least"),
]


@pytest.mark.parametrize(("lengths", "attended", "is_causal", "message"), REFUSED)
def test_sequences_that_cannot_attend_are_refused(
    lengths: tuple[int, ...], attended: tuple[int, ...], is_causal: bool, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check_lengths(lengths, attended, is_causal=is_causal)
    for function in (attend, attend_plainly):
        with pytest.raises(DataError, match=message):
            function(
                *_batch(lengths, attended),
                lengths=lengths,
                attended_lengths=attended,
                is_causal=is_causal,
            )


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_path_around_a_slow_kernel_equals_the_plain_one(is_causal: bool) -> None:
    lengths, attended = (4, 6, 5), (5, 6, 9)
    batch = [x.float() for x in _batch(lengths, attended)]
    settings = {"lengths": lengths, "attended_lengths": attended, "is_causal": is_causal}
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        around = attend(*batch, **settings)
    finally:
        torch.set_float32_matmul_precision(before)
    # Products of bfloat16 factors keep eight bits.
    torch.testing.assert_close(around, attend_plainly(*batch, **settings), rtol=0.05, atol=0.05)
