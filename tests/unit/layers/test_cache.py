"""A cache gives back what it was given; an beam_mask says who descends from what."""

import torch
from torch import Tensor

from zhixing.layers.cache import BeamMask, CrossKeyValues, KeyValueCache, kept, spare_mask
from zhixing.layers.positions import LinearBias

HEADS, SIZE = 2, 3
CPU = torch.device("cpu")
HIDDEN = -torch.inf


def _new(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, rows, HEADS, SIZE, generator=generator, dtype=torch.float64)
    return both[0], both[1]


def _empty(sequences: int) -> KeyValueCache:
    return KeyValueCache.empty(
        torch.zeros(1, HEADS, SIZE, dtype=torch.float64), sequences=sequences
    )


def _ancestry(sequences: int) -> BeamMask:
    return BeamMask.empty(sequences, torch.float64, CPU)


def test_an_empty_cache_remembers_nothing() -> None:
    keys, values = _empty(3).slots
    assert keys.shape == values.shape == (0, 3, HEADS, SIZE)
    assert keys.dtype == torch.float64


def test_what_was_added_comes_back_by_sequence() -> None:
    first, second = _new(2, 0), _new(4, 1)
    cache = _empty(2).append(*first).append(*second)
    for found, one, other in zip(cache.slots, first, second, strict=True):
        assert torch.equal(found[:, 0], torch.stack((one[0], other[0], other[1])))
        assert torch.equal(found[:, 1], torch.stack((one[1], other[2], other[3])))


def test_many_steps_make_few_copies() -> None:
    cache = _empty(1)
    rooms = []
    for step in range(200):
        cache = cache.append(*_new(1, step))
        rooms.append(cache.keys.untyped_storage().data_ptr())
    moves = sum(before != after for before, after in zip(rooms, rooms[1:], strict=False))
    assert len(cache.keys) <= 2 * 200
    assert moves <= 4
    expected = torch.cat([_new(1, step)[0] for step in range(200)])
    assert torch.equal(cache.slots[0][:, 0], expected)


def test_sequences_that_end_leave_and_others_take_their_places() -> None:
    key, value = _new(4, 0)
    cache = _empty(4).append(key, value).keep([0, 3, 2])
    assert torch.equal(cache.slots[0][0], key[[0, 3, 2]])
    assert torch.equal(cache.slots[1][0], value[[0, 3, 2]])
    more = _new(3, 1)
    cache = cache.append(*more)
    assert torch.equal(cache.slots[0], torch.stack((key[[0, 3, 2]], more[0])))


def test_what_stays_in_its_place_is_not_copied() -> None:
    x = torch.arange(8.0).view(4, 2)
    place = x.data_ptr()
    found = kept(x, [0, 3, 2])
    assert found.data_ptr() == place
    assert found.tolist() == [[0, 1], [6, 7], [4, 5]]


def test_two_may_change_their_places() -> None:
    assert kept(torch.tensor([[1], [2], [3]]), [1, 0]).tolist() == [[2], [1]]


def test_alone_a_hypothesis_sees_all_and_nothing_is_added() -> None:
    beam_mask = _ancestry(2)
    beam_mask.grow()
    beam_mask.descend(torch.tensor([[0], [0]]))
    beam_mask.grow()
    assert beam_mask.scores_added(None) is None
    assert (beam_mask.used, beam_mask.position) == (2, 2)


def test_a_hypothesis_sees_the_cells_it_descends_from() -> None:
    beam_mask = _ancestry(1)
    beam_mask.grow()
    beam_mask.descend(torch.tensor([[0, 0]]))
    beam_mask.grow()
    added = beam_mask.scores_added(None)
    assert added is not None
    assert added[0, 0].tolist() == [[0, 0, HIDDEN], [0, HIDDEN, 0]]
    beam_mask.descend(torch.tensor([[1, 1]]))
    beam_mask.grow()
    added = beam_mask.scores_added(None)
    assert added is not None
    assert added[0, 0].tolist() == [[0, HIDDEN, 0, 0, HIDDEN], [0, HIDDEN, 0, HIDDEN, 0]]


def test_a_bias_goes_by_the_distance_of_positions_not_of_cells() -> None:
    beam_mask = _ancestry(1)
    beam_mask.grow()
    beam_mask.descend(torch.tensor([[0, 0]]))
    beam_mask.grow()
    added = beam_mask.scores_added(LinearBias(1))
    assert added is not None
    slope = 2.0**-8
    assert added[0, 0].tolist() == [[-slope, 0, HIDDEN], [-slope, HIDDEN, 0]]


def test_a_memory_of_equal_lengths_needs_no_mask() -> None:
    assert spare_mask((2, 2), torch.float64, CPU) is None
    key, value = _new(4, 0)
    cross_key_values = CrossKeyValues.of(key, value, (2, 2), None)
    assert torch.equal(cross_key_values.keys[:, 1], key[2:])
    assert torch.equal(cross_key_values.values[:, 0], value[:2])


def test_spare_positions_of_a_memory_are_hidden() -> None:
    mask = spare_mask((1, 3), torch.float64, CPU)
    assert mask is not None
    assert mask[:, 0, 0].tolist() == [[0, HIDDEN, HIDDEN], [0, 0, 0]]
    key, value = _new(4, 0)
    cross_key_values = CrossKeyValues.of(key, value, (1, 3), mask)
    assert torch.equal(cross_key_values.keys[0, 0], key[0])
    assert torch.equal(cross_key_values.keys[:, 1], key[1:])
    assert torch.equal(cross_key_values.values[:, 1], value[1:])


def test_a_memory_keeps_some_sequences() -> None:
    key, value = _new(6, 0)
    cross_key_values = CrossKeyValues.of(key, value, (2, 2, 2), None).keep([2, 1], None)
    assert torch.equal(cross_key_values.keys[:, 0], key[4:])
    assert torch.equal(cross_key_values.values[:, 1], value[2:4])
