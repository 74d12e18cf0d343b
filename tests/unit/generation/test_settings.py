from typing import Any

import pytest

from zhixing.errors import ConfigError
from zhixing.generation.settings import SearchSettings, read_settings

VALUES: dict[str, Any] = {"decoder_start_token_id": 4, "eos_token_id": 0}


def test_a_folder_that_says_little_gets_the_usual() -> None:
    assert read_settings(VALUES, {}) == SearchSettings(start_id=4, end_ids=(0,), max_new_tokens=255)


def test_what_a_marian_folder_says_is_read() -> None:
    said = {
        "bad_words_ids": [[59513]],
        "decoder_start_token_id": 59513,
        "eos_token_id": 0,
        "forced_eos_token_id": 0,
        "max_length": 512,
        "num_beams": 4,
        "pad_token_id": 59513,
    }
    settings = read_settings({"num_beams": 6}, said)
    assert (settings.start_id, settings.end_ids) == (59513, (0,))
    assert (settings.num_beams, settings.max_new_tokens) == (4, 511)
    assert (settings.suppressed_ids, settings.forced_last_id) == ((59513,), 0)


def test_what_is_null_does_not_count() -> None:
    assert read_settings({**VALUES, "num_beams": 3}, {"num_beams": None}).num_beams == 3


def test_a_folder_that_does_not_say_how_to_start_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"decoder_start_token_id is None and eos_token_id is 0"):
        read_settings({"eos_token_id": 0}, {})


def test_words_of_several_tokens_cannot_be_suppressed() -> None:
    with pytest.raises(ConfigError, match=r"bad_words_ids holds \[3, 4\], several tokens in a row"):
        read_settings(VALUES, {"bad_words_ids": [[3, 4]]})


def test_an_unknown_early_stopping_is_refused() -> None:
    with pytest.raises(ConfigError, match="early_stopping is 'soon'"):
        read_settings(VALUES, {"early_stopping": "soon"})


def test_an_id_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"eos_token_id is \['a'\]; it has to be a token id"):
        read_settings({**VALUES, "eos_token_id": ["a"]}, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_beams": 0}, "num_beams is 0; it has to lie between 1 and 256"),
        ({"num_results": 2}, "num_results is 2; it has to lie between 1 and 1"),
        ({"num_beams": 2, "temperature": 1.0}, "a beam does not draw"),
        ({"end_ids": ()}, "end_ids is empty"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"min_new_tokens": 300}, "min_new_tokens is 300; it has to lie between 0 and 256"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    values = {"start_id": 1, "end_ids": (0,), **changes}
    with pytest.raises(ConfigError, match=message):
        SearchSettings(**values)


def test_beams_in_groups_become_plain_ones_where_their_number_is_chosen() -> None:
    values = {"decoder_start_token_id": 2, "eos_token_id": 2}
    said = {"num_beams": 4, "num_beam_groups": 4, "diversity_penalty": 0.5}
    settings = read_settings(values, said)
    assert (settings.num_groups, settings.diversity_penalty) == (4, 0.5)
    plain = settings.with_beams(5)
    assert (plain.num_beams, plain.num_groups, plain.diversity_penalty) == (5, 1, 0.0)
