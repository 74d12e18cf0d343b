"""Words are linked by a decoder's attention, which is set by hand here, step for step."""

from collections.abc import Mapping, Sequence

import pytest
from unit.tasks.word_by_word import copying_model, translator_of

from zhixing.errors import DataError
from zhixing.inspection.alignment import Alignment, Link, align_pairs


def aligned(
    source: str, target: str, looks: Mapping[int, Sequence[int]] | None = None, **generation: object
) -> Alignment:
    """Align a pair where each step looks at its own position, but for those that are named."""
    translator = translator_of(copying_model(looks=looks), **generation)
    return align_pairs(translator, [source], [target])[0]


def test_a_word_goes_with_the_one_looked_at_by_the_step_that_writes_it() -> None:
    found = aligned("One Two Three.", "Un Deux Trois.")
    assert found.source == ("One", "Two", "Three", ".")
    assert found.target == ("Un", "Deux", "Trois", ".")
    assert found.links == tuple(Link(i, i, 1.0) for i in range(4))
    assert str(found) == "0-0 1-1 2-2 3-3"
    assert found.to_dict()["pharaoh"] == "0-0 1-1 2-2 3-3"


def test_words_that_change_places_are_linked_crosswise() -> None:
    assert str(aligned("One Two Three", "Deux Un Un", {0: [1], 1: [0], 2: [0]})) == "1-0 0-1 0-2"


def test_every_word_is_linked_whichever_it_is() -> None:
    # Were matrix and words apart by one, one of these would be none of its neighbours'.
    for place in range(4):
        found = aligned("One Two Three Four", "Un", {0: [place]})
        assert found.links == (Link(place, 0, 1.0),)


def test_tokens_of_one_word_count_together() -> None:
    # One-Two is three tokens; the first step looks at its last, the second at what follows.
    found = aligned("One-Two Three", "Un Deux", {0: [2], 1: [3]})
    assert found.source == ("One-Two", "Three")
    assert str(found) == "0-0 1-1"
    # Looked at alike: one token of the first word and two of the second.
    found = aligned("One Two-Three", "Un", {0: [0, 1, 3]})
    assert found.links == (Link(1, 0, 0.6667),)


def test_a_word_written_in_several_steps_goes_with_what_most_of_them_look_at() -> None:
    found = aligned("One Two Three", "Un-Deux Trois", {0: [0], 1: [1], 2: [1], 3: [2]})
    assert found.target == ("Un-Deux", "Trois")
    assert found.links == (Link(1, 0, 0.6667), Link(2, 1, 1.0))


def test_what_looks_at_the_end_is_shared_among_the_words() -> None:
    # Half of the step's attention lies on the end, which is no word.
    found = aligned("One Two", "Un", {0: [1, 2]})
    assert found.links == (Link(1, 0, 1.0),)


def test_a_language_that_is_written_first_is_no_word() -> None:
    found = aligned("One Two", "Un Deux", {0: [1], 1: [0], 2: [1]}, forced_bos_token_id=12)
    assert str(found) == "0-0 1-1"


def test_signs_and_characters_of_scripts_without_spaces_are_words() -> None:
    found = aligned("l'eau 知行 x-y a_b, 3!", "Un")
    assert found.source == ("l'", "eau", "知", "行", "x-y", "a_b", ",", "3", "!")


@pytest.mark.parametrize(("source", "target"), [("", "Un"), ("One", ""), ("", "")])
def test_where_a_side_has_no_words_nothing_is_linked(source: str, target: str) -> None:
    assert aligned(source, target).links == ()


def test_pairs_are_aligned_alike_in_any_company() -> None:
    translator = translator_of(copying_model(looks={0: [1], 1: [0]}))
    sources, targets = ["One Two", "Three Four Five One", "Six One"], ["Un Deux", "Un", "Sis Un Un"]
    together = align_pairs(translator, sources, targets)
    assert together == [
        align_pairs(translator, [a], [b])[0] for a, b in zip(sources, targets, strict=True)
    ]
    assert [str(one) for one in together][:2] == ["1-0 0-1", "1-0"]
    with pytest.raises(DataError, match="there are 3 sources and 2 targets"):
        align_pairs(translator, sources, targets[:2])
