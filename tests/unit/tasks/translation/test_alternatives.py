"""What else could be written at a place, and several translations, worked out on a small model."""

import math

import pytest
import torch
from unit.tasks.word_by_word import POSITIONS, SIZE, config, copying_model, translator_of

from zhixing.errors import ConfigError, DataError
from zhixing.layers.ragged import Ragged
from zhixing.models.transformer import build
from zhixing.tasks.translation.alternatives import alternatives, variants
from zhixing.tasks.translation.result import TranslateOptions
from zhixing.tasks.translation.translator import Translator

END = 2


@pytest.fixture(scope="module")
def translator() -> Translator:
    """Knows what to write, and is not too sure of it: all other words are alike to it."""
    return translator_of(copying_model(sureness=0.4))


def test_the_rest_of_a_translation_follows_each_alternative(translator: Translator) -> None:
    found = alternatives(translator, "One Two Three", start="Un", count=4)
    assert found[0].token == "Deux"
    assert found[0].text == "Un Deux Trois"
    assert found[0].probability > 2 * found[1].probability
    assert len({one.token for one in found}) == 4
    for one in found:
        if one.token not in ("</s>", "<unk>", "<pad>"):
            assert one.text == f"Un {one.token} Trois"


def test_probabilities_are_the_models_after_the_start() -> None:
    model = build(config(), seed=3)
    found = alternatives(translator_of(model), "One Two", start="Cinq Un", count=SIZE)
    read = Ragged.of([torch.tensor([3, 4, END])])
    with torch.inference_mode():
        states = model.decoder_states(read, Ragged.of([torch.tensor([END, 7, 3])]))
        shares = model.next_logits(states)[-1].softmax(-1)
    target = translator_of(model).text_format.target
    ids = [target.id_of(one.token) for one in found]
    assert sorted(ids) == list(range(SIZE))
    assert [one.probability for one in found] == pytest.approx(shares[ids].tolist(), abs=1e-5)
    assert found[0].probability == pytest.approx(float(shares.max()), abs=1e-5)


def test_a_token_that_is_never_written_is_no_alternative() -> None:
    told = translator_of(copying_model(sureness=0.4), suppress_tokens=[4])
    found = alternatives(told, "One Two Three", start="Un", count=SIZE)
    assert "Deux" not in {one.token for one in found if one.probability > 0}
    assert sum(one.probability for one in found) == pytest.approx(1.0, abs=1e-4)


def test_the_score_is_that_of_what_follows() -> None:
    even = translator_of(copying_model(sureness=0.0), max_length=4)
    for one in alternatives(even, "One Two Three", count=2):
        # Whatever was chosen, the tokens behind it have an even share each, or there is none.
        assert one.score in (pytest.approx(-math.log(SIZE), abs=1e-5), 0.0)


def test_without_a_start_alternatives_differ_from_the_first_word_on(
    translator: Translator,
) -> None:
    found = alternatives(translator, "One Two", count=3)
    assert found[0].text == "Un Deux"
    assert all(one.token == one.text.split()[0] for one in found if one.text.count(" ") == 1)
    assert found[0].to_dict()["token"] == "Un"


@pytest.mark.parametrize("count", [0, 65])
def test_a_count_out_of_range_is_refused(count: int, translator: Translator) -> None:
    message = f"count is {count}; it has to lie between 1 and 64"
    with pytest.raises(ConfigError, match=message):
        alternatives(translator, "One", count=count)
    with pytest.raises(ConfigError, match=message):
        variants(translator, "One", count=count)


def test_a_source_that_is_blank_or_too_long_is_refused(translator: Translator) -> None:
    for function in (alternatives, variants):
        with pytest.raises(DataError, match="source is blank; give a sentence"):
            function(translator, "  ")
        with pytest.raises(
            DataError, match="source has 25 .* the model takes 24.*; give a sentence"
        ):
            function(translator, "One " * POSITIONS)
    with pytest.raises(DataError, match="2.*, but the model takes 24"):
        alternatives(translator, "One", start="Un " * POSITIONS)


def test_the_best_variant_is_the_translation_and_none_comes_twice(translator: Translator) -> None:
    found = variants(translator, "One Two Three", count=4)
    assert found[0].text == translator("One Two Three").text == "Un Deux Trois"
    texts = [one.text for one in found]
    assert len(set(texts)) == len(texts) <= 4
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert found[0].to_dict() == {"text": found[0].text, "score": found[0].score}


def test_a_variants_score_is_the_mean_log_probability_of_its_tokens(translator: Translator) -> None:
    best = variants(translator, "One Two", count=2)[0]
    assert best.score == pytest.approx(translator("One Two").sentences[0].score, abs=1e-5)


def test_variants_that_keep_apart_differ_from_the_first_word_on(translator: Translator) -> None:
    apart = variants(translator, "One Two Three", count=3, diversity=50.0)
    close = variants(translator, "One Two Three", count=3, diversity=0.0)
    assert len({one.text.split()[0] for one in apart}) == 3
    assert {one.text.split()[0] for one in close} == {"Un"}


def test_one_variant_is_asked_for_and_given(translator: Translator) -> None:
    assert [one.text for one in variants(translator, "One Two", count=1)] == ["Un Deux"]


def test_variants_are_written_in_the_language_that_is_asked_for(translator: Translator) -> None:
    options = TranslateOptions(target_code=">>fr<<")
    assert variants(translator, "One Two", count=2, options=options)[0].text == "(fr) Un Deux"
