"""A KV cache gives back what it was given; a beam mask says who descends from what."""

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


def _mask(*lengths: int) -> BeamMask:
    return BeamMask.of(lengths, torch.float64, CPU)


def test_prompts_of_unequal_length_lie_side_by_side_from_the_first_slot_on() -> None:
    prompts = _new(4, 0)
    cache = KeyValueCache.of(*prompts, (1, 3))
    assert cache.used == 3
    for slots, prompt in zip(cache.slots, prompts, strict=True):
        assert torch.equal(slots[0, 0], prompt[0])
        assert torch.equal(slots[:, 1], prompt[1:])
        # What nobody sees has to be a number all the same.
        assert slots.isfinite().all()


def test_what_was_added_comes_back_by_sequence() -> None:
    first, second = _new(2, 0), _new(4, 1)
    cache = KeyValueCache.of(*first, (1, 1)).append(*second)
    for slots, prompt, new in zip(cache.slots, first, second, strict=True):
        assert torch.equal(slots[:, 0], torch.stack((prompt[0], new[0], new[1])))
        assert torch.equal(slots[:, 1], torch.stack((prompt[1], new[2], new[3])))


def test_many_steps_make_few_copies() -> None:
    cache = KeyValueCache.of(*_new(1, 0), (1,))
    rooms = []
    for step in range(1, 200):
        cache = cache.append(*_new(1, step))
        rooms.append(cache.keys.untyped_storage().data_ptr())
    moves = sum(before != after for before, after in zip(rooms, rooms[1:], strict=False))
    assert len(cache.keys) <= 2 * 200
    assert moves <= 4
    expected = torch.cat([_new(1, step)[0] for step in range(200)])
    assert torch.equal(cache.slots[0][:, 0], expected)


def test_sequences_that_end_leave_and_others_take_their_places() -> None:
    key, value = _new(4, 0)
    cache = KeyValueCache.of(key, value, (1, 1, 1, 1)).keep([0, 3, 2])
    assert torch.equal(cache.slots[0][0], key[[0, 3, 2]])
    assert torch.equal(cache.slots[1][0], value[[0, 3, 2]])
    more = _new(3, 1)
    cache = cache.append(*more)
    assert torch.equal(cache.slots[0], torch.stack((key[[0, 3, 2]], more[0])))


def test_what_stays_in_its_place_is_not_copied() -> None:
    x = torch.arange(8.0).view(4, 2)
    address = x.data_ptr()
    rows = kept(x, [0, 3, 2])
    assert rows.data_ptr() == address
    assert rows.tolist() == [[0, 1], [6, 7], [4, 5]]


def test_two_may_change_their_places() -> None:
    assert kept(torch.tensor([[1], [2], [3]]), [1, 0]).tolist() == [[2], [1]]


def test_alone_a_hypothesis_sees_all_and_nothing_is_added() -> None:
    beam_mask = _mask(1, 1)
    beam_mask.descend(torch.tensor([[0], [0]]))
    beam_mask.grow()
    assert beam_mask.scores_added(None) is None
    assert beam_mask.used == 2
    assert beam_mask.next_positions.tolist() == [2, 2]


def test_spare_slots_of_a_shorter_prompt_are_hidden_and_its_next_token_follows_it() -> None:
    beam_mask = _mask(1, 3)
    beam_mask.grow()
    added = beam_mask.scores_added(None)
    assert added is not None
    assert added[:, 0, 0].tolist() == [[0, HIDDEN, HIDDEN, 0], [0, 0, 0, 0]]
    assert beam_mask.newest.tolist() == [1, 3]
    assert beam_mask.next_positions.tolist() == [2, 4]


def test_every_hypothesis_of_a_beam_stands_at_the_position_of_its_own_sequence() -> None:
    beam_mask = _mask(1, 3)
    beam_mask.descend(torch.tensor([[0, 0], [0, 0]]))
    beam_mask.grow()
    assert beam_mask.newest.tolist() == [1, 1, 3, 3]
    added = beam_mask.scores_added(LinearBias(1))
    assert added is not None
    slope = 2.0**-8
    assert added[0, 0].tolist() == [
        [-slope, HIDDEN, HIDDEN, 0, HIDDEN],
        [-slope, HIDDEN, HIDDEN, HIDDEN, 0],
    ]
    assert added[1, 0, 0].tolist() == [-3 * slope, -2 * slope, -slope, 0, HIDDEN]


def test_sequences_take_their_positions_with_them() -> None:
    beam_mask = _mask(1, 4, 2)
    beam_mask.keep([2, 1])
    beam_mask.grow()
    assert beam_mask.newest.tolist() == [2, 4]
    added = beam_mask.scores_added(None)
    assert added is not None
    assert added[0, 0, 0].tolist() == [0, 0, HIDDEN, HIDDEN, 0]


def test_slots_that_nobody_sees_are_dropped_once_there_are_many() -> None:
    beam_mask = _mask(80, 70)
    beam_mask.descend(torch.tensor([[0, 0], [0, 0]]))
    beam_mask.grow()
    beam_mask.descend(torch.tensor([[1, 1], [0, 0]]))
    slots = beam_mask.prune()
    assert slots is not None
    assert slots.shape == (2, 81)
    assert slots[0].tolist() == [*range(80), 81]
    assert slots[1, :71].tolist() == [*range(70), 80]
    beam_mask.grow()
    assert beam_mask.newest.tolist() == [81, 81, 71, 71]


def test_a_hypothesis_sees_the_slots_it_descends_from() -> None:
    beam_mask = _mask(1)
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


def test_a_bias_goes_by_the_distance_of_positions_not_of_slots() -> None:
    beam_mask = _mask(1)
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
