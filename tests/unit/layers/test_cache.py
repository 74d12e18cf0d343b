"""A cache gives back every key and value it was given, by sequence and in order."""

import torch
from torch import Tensor

from zhixing.layers.cache import LayerCache

HEADS, SIZE = 2, 3


def _new(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, rows, HEADS, SIZE, generator=generator, dtype=torch.float64)
    return both[0], both[1]


def _empty(sequences: int) -> LayerCache:
    return LayerCache.empty(torch.zeros(1, HEADS, SIZE, dtype=torch.float64), sequences=sequences)


def test_an_empty_cache_remembers_nothing() -> None:
    cache = _empty(3)
    assert cache.lengths == (0, 0, 0)
    keys, values = cache.ragged()
    assert keys.shape == values.shape == (0, HEADS, SIZE)
    assert keys.dtype == torch.float64


def test_what_was_added_comes_back_by_sequence() -> None:
    first, second = _new(5, 0), _new(4, 1)
    cache = _empty(2).append(*first, (2, 3)).append(*second, (3, 1))
    assert cache.lengths == (5, 4)
    for found, one, other in zip(cache.ragged(), first, second, strict=True):
        expected = torch.cat((one[:2], other[:3], one[2:], other[3:]))
        assert torch.equal(found, expected)


def test_keys_and_values_are_kept_apart() -> None:
    key, value = _new(2, 0)
    keys, values = _empty(1).append(key, value, (2,)).ragged()
    assert torch.equal(keys, key)
    assert torch.equal(values, value)
    assert not torch.equal(keys, values)


def test_a_sequence_may_be_given_nothing_new() -> None:
    first, second = _new(3, 0), _new(2, 1)
    cache = _empty(2).append(*first, (1, 2)).append(*second, (0, 2))
    assert cache.lengths == (1, 4)
    assert torch.equal(cache.ragged()[0], torch.cat((first[0], second[0])))


def test_many_steps_make_few_copies() -> None:
    cache = _empty(1)
    rooms = []
    for step in range(100):
        key, value = _new(1, step)
        cache = cache.append(key, value, (1,))
        rooms.append(cache.keys.untyped_storage().data_ptr())
    moves = sum(before != after for before, after in zip(rooms, rooms[1:], strict=False))
    assert cache.lengths == (100,)
    assert cache.keys.size(1) <= 2 * 100
    assert moves <= 7
    expected = torch.cat([_new(1, step)[0] for step in range(100)])
    assert torch.equal(cache.ragged()[0], expected)


def test_reordering_takes_sequences_with_all_they_remember() -> None:
    key, value = _new(6, 0)
    cache = _empty(3).append(key, value, (1, 2, 3)).reorder([2, 0, 2])
    assert cache.lengths == (3, 1, 3)
    keys, values = cache.ragged()
    assert torch.equal(keys, torch.cat((key[3:], key[:1], key[3:])))
    assert torch.equal(values, torch.cat((value[3:], value[:1], value[3:])))


def test_two_copies_of_a_sequence_go_their_own_ways() -> None:
    cache = _empty(1).append(*_new(3, 0), (3,)).append(*_new(1, 1), (1,))
    new = _new(2, 2)
    grown = cache.reorder([0, 0]).append(*new, (1, 1))
    keys, _ = grown.ragged()
    assert torch.equal(keys[:4], keys[5:9])
    assert torch.equal(keys[4], new[0][0])
    assert torch.equal(keys[9], new[0][1])


def test_fewer_sequences_may_remain() -> None:
    key, value = _new(6, 0)
    cache = _empty(3).append(key, value, (1, 2, 3)).reorder([1])
    assert cache.lengths == (2,)
    assert torch.equal(cache.ragged()[0], key[1:3])
