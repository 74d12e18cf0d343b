"""Several heads attend side by side, and are joined by one product."""

from typing import Any

import pytest
import torch
from torch import Tensor

from zhixing.layers.attention import attend_plainly
from zhixing.layers.dropout import Noise
from zhixing.layers.multi_head import MultiHeadAttention
from zhixing.layers.positions import LinearBias, Rotary
from zhixing.layers.ragged import position_numbers

SIZE, HEADS = 12, 3
LENGTHS = (3, 5, 1)


def _attention(*, is_cross: bool = False) -> MultiHeadAttention:
    attention = MultiHeadAttention(SIZE, HEADS, is_cross=is_cross).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return attention


def _random(rows: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, SIZE, generator=generator, dtype=torch.float64)


def _attend(
    attention: MultiHeadAttention,
    x: Tensor,
    lengths: tuple[int, ...],
    *,
    rotary: Rotary | None = None,
    **settings: Any,
) -> Tensor:
    """Let every sequence attend to itself."""
    positions = position_numbers(lengths, x.device)
    projected = attention.project(x, rotary=rotary, positions=positions)
    return attention.attend_to(*projected, lengths=lengths, attended_lengths=lengths, **settings)


def _by_hand(attention: MultiHeadAttention, x: Tensor) -> Tensor:
    """Compute one sequence as section 3.2.2 has it, head by head."""
    weights = attention.query_key_value.weight.chunk(3)
    biases = attention.query_key_value.bias.chunk(3)
    heads = []
    for head in range(HEADS):
        part = slice(4 * head, 4 * head + 4)
        query, key, value = (
            x @ weight[part].T + bias[part] for weight, bias in zip(weights, biases, strict=True)
        )
        heads.append((query @ key.T / 2.0).softmax(-1) @ value)
    return torch.cat(heads, -1) @ attention.output.weight.T + attention.output.bias


def test_self_attention_is_the_paper_head_by_head() -> None:
    attention, x = _attention(), _random(9)
    expected = torch.cat([_by_hand(attention, part) for part in x.split(list(LENGTHS))])
    assert (_attend(attention, x, LENGTHS) - expected).abs().max() < 1e-10


@pytest.mark.parametrize("is_cross", [False, True])
@pytest.mark.parametrize("shared", [1, 2])
def test_query_heads_share_keys_and_values_in_a_row(shared: int, is_cross: bool) -> None:
    # Four query heads: with two key/value heads, 0 and 1 read the first, 2 and 3 the second.
    attention = MultiHeadAttention(SIZE, 4, num_key_value_heads=shared, is_cross=is_cross).double()
    for seed, parameter in enumerate(attention.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(seed))
    full = MultiHeadAttention(SIZE, 4, is_cross=is_cross).double()
    repeated = [head // (4 // shared) for head in range(4)]
    order = [i if is_cross else 4 + i for i in repeated]
    order += [shared + i for i in order]
    names = ("key_value",) if is_cross else ("query_key_value",)
    with torch.no_grad():
        for name in names:
            rows = order if is_cross else [*range(4), *order]
            for part in ("weight", "bias"):
                heads = getattr(getattr(attention, name), part).unflatten(0, (-1, 3))
                getattr(getattr(full, name), part).copy_(heads[rows].flatten(0, 1))
        full.output.load_state_dict(attention.output.state_dict())
        if is_cross:
            full.query.load_state_dict(attention.query.state_dict())
    x, memory = _random(9), _random(9, seed=2)

    def result(module: MultiHeadAttention) -> Tensor:
        if not is_cross:
            return _attend(module, x, LENGTHS, is_causal=True, bias=LinearBias(4))
        key, value = module.project_memory(memory)
        query = module.project_query(x)
        return module.attend_to(query, key, value, lengths=LENGTHS, attended_lengths=(1, 3, 5))

    assert (result(attention) - result(full)).abs().max() < 1e-10
    attention.weights.register_forward_hook(lambda _m, _i, weights: weights)
    assert (result(attention) - result(full)).abs().max() < 1e-10


def test_rotary_positions_turn_queries_and_keys_but_no_values() -> None:
    attention, x, rotary = _attention(), _random(4), Rotary(4)
    places = torch.tensor([0, 1, 0, 1])
    plain = attention.project(x, rotary=None, positions=None)
    turned = attention.project(x, rotary=rotary, positions=places)
    assert torch.equal(turned[0], rotary(plain[0], places))
    assert torch.equal(turned[1], rotary(plain[1], places))
    assert torch.equal(turned[2], plain[2])


def test_rotary_positions_count_within_each_sequence() -> None:
    attention, x, rotary = _attention(), _random(9), Rotary(4)
    together = _attend(attention, x, LENGTHS, rotary=rotary)
    parts = x.split(list(LENGTHS))
    alone = [_attend(attention, part, (len(part),), rotary=rotary) for part in parts]
    assert (together - torch.cat(alone)).abs().max() < 1e-10
    assert (together - _attend(attention, x, LENGTHS)).abs().max() > 1e-3


def test_without_positions_the_order_of_a_text_is_unknown() -> None:
    attention, x = _attention(), _random(6)
    order = torch.tensor([3, 5, 0, 1, 4, 2])

    def moved(rotary: Rotary | None) -> float:
        turned, straight = (_attend(attention, y, (6,), rotary=rotary) for y in (x[order], x))
        return (turned - straight[order]).abs().max().item()

    assert moved(None) < 1e-10
    assert moved(Rotary(4)) > 1e-3


def test_cross_attention_asks_the_memory_of_its_own_sequence() -> None:
    attention, x, memory = _attention(is_cross=True), _random(5), _random(7, seed=2)
    key, value = attention.project_memory(memory)
    assert key.shape == value.shape == (7, HEADS, 4)
    result = attention.attend_to(
        attention.project_query(x), key, value, lengths=(2, 3), attended_lengths=(4, 3)
    )
    query = attention.query(x).view(5, HEADS, 4)
    expected = attend_plainly(query, key, value, lengths=(2, 3), attended_lengths=(4, 3))
    assert (result - attention.output(expected.flatten(1))).abs().max() < 1e-10
    table = attention.key_value.weight
    torch.testing.assert_close(
        key.flatten(1), memory @ table[:SIZE].T + attention.key_value.bias[:SIZE]
    )


def test_cross_attention_is_dropped_where_a_noise_is_given() -> None:
    attention, memory = _attention(is_cross=True), _random(7)
    key, value = attention.project_memory(memory)

    def crossing(noise: Noise | None) -> Tensor:
        query, lengths = attention.project_query(_random(5)), (2, 3)
        return attention.attend_to(
            query, key, value, lengths=lengths, attended_lengths=(4, 3), dropout=0.5, noise=noise
        )

    assert torch.equal(crossing(Noise((1,))), crossing(Noise((1,))))
    assert (crossing(Noise((1,))) - crossing(None)).abs().max() > 1e-3


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("bias", [None, LinearBias(HEADS)])
@pytest.mark.parametrize("rotary", [None, Rotary(4)])
def test_being_watched_changes_nothing(
    rotary: Rotary | None, bias: LinearBias | None, is_causal: bool
) -> None:
    attention, x = _attention(), _random(9)
    settings = {"rotary": rotary, "bias": bias, "is_causal": is_causal}
    unwatched = _attend(attention, x, LENGTHS, **settings)
    seen: list[Tensor] = []
    handle = attention.weights.register_forward_hook(lambda _m, _i, result: seen.append(result))
    watched = _attend(attention, x, LENGTHS, **settings)
    handle.remove()
    assert (watched - unwatched).abs().max() < 1e-10
    assert torch.equal(_attend(attention, x, LENGTHS, **settings), unwatched)
    assert [tuple(weights.shape) for weights in seen] == [(HEADS, n, n) for n in LENGTHS]
    for weights in seen:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
        assert not is_causal or weights.triu(1).abs().max() == 0.0


def test_a_hook_may_silence_a_head() -> None:
    attention, x = _attention(), _random(9)
    rest = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)[:, None, None]
    attention.weights.register_forward_hook(lambda _m, _i, result: result * rest)
    silenced = _attend(attention, x, LENGTHS)
    with torch.no_grad():
        attention.output.weight[:, 4:8] = 0.0
    attention.weights._forward_hooks.clear()
    assert (silenced - _attend(attention, x, LENGTHS)).abs().max() < 1e-10
