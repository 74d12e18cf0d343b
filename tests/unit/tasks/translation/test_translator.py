"""What becomes of a document around its sentences, with a model that writes word by word."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from unit.tasks.word_by_word import POSITIONS, config, copying_model, translator_of

from zhixing.errors import ConfigError, DataError
from zhixing.generation.selection import Hypothesis
from zhixing.models.transformer import build
from zhixing.tasks.translation.result import TranslateOptions
from zhixing.tasks.translation.translator import Translator

# A model of so many positions reads pieces of eight fewer.
LONGEST_PIECE = POSITIONS - 8


@pytest.fixture(scope="module")
def translator() -> Translator:
    return translator_of(copying_model())


def test_every_sentence_stands_beside_its_translation_and_knows_its_place(
    translator: Translator,
) -> None:
    text = "One Two. Three.  Four Five."
    found = translator(text)
    assert found.text == "Un Deux . Trois .  Quatre Cinq ."
    assert [(one.start, one.end, one.source, one.text) for one in found.sentences] == [
        (0, 8, "One Two.", "Un Deux ."),
        (9, 15, "Three.", "Trois ."),
        (17, 27, "Four Five.", "Quatre Cinq ."),
    ]
    assert all(text[one.start : one.end] == one.source for one in found.sentences)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One.\nTwo.", "Un .\nDeux ."),
        ("One.\n\n\n  Two.\n", "Un .\n\n\n  Deux .\n"),
        ("\r\n One Two\r\nThree\r\n", "\r\n Un Deux\r\nTrois\r\n"),
        ("\tOne. \t Two.\u2028Three.", "\tUn . \t Deux .\u2028Trois ."),
        ("", ""),
        (" \n ", " \n "),
    ],
)
def test_line_breaks_and_blanks_stay_as_they_were(
    text: str, expected: str, translator: Translator
) -> None:
    found = translator(text)
    assert found.text == expected
    assert all(text[one.start : one.end] == one.source for one in found.sentences)


def test_what_is_no_language_is_copied_and_says_so(translator: Translator) -> None:
    found = translator("One.\n42\nhttps://two.org\nTwo.")
    assert found.text == "Un .\n42\nhttps://two.org\nDeux ."
    assert [one.flags for one in found.sentences] == [(), ("copied",), ("copied",), ()]
    assert [one.score for one in found.sentences[1:3]] == [0.0, 0.0]
    # A copied number is nothing that a reader has to look at.
    assert found.flags == ()


def test_a_sentence_that_the_model_has_no_words_for_stays_as_it_is(translator: Translator) -> None:
    found = translator("Xyz uvw\nOne.")
    assert found.text == "Xyz uvw\nUn ."
    assert [one.flags for one in found.sentences] == [("copied",), ()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One {name} Two", "Un {name} Deux"),
        ("{name} One", "{name} Un"),
        ("One %s", "Un %s"),
        ("One <b>Two</b> Three", "Un <b>Deux</b> Trois"),
        ("One a.b@two.org, %d  Two", "Un a.b@two.org, %d  Deux"),
    ],
)
def test_a_placeholder_that_the_model_loses_is_translated_around(
    text: str, expected: str, translator: Translator
) -> None:
    found = translator(text)
    assert found.text == expected
    assert found.flags == ("parts",)


def test_a_persons_own_terms_are_written_as_they_asked(translator: Translator) -> None:
    options = TranslateOptions(terms={"Two": "Deuze", "One": "Un"})
    found = translator("One Two Three. One.", options=options)
    assert found.text == "Un Deuze Trois . Un ."
    # The second sentence had its term without help.
    assert [one.flags for one in found.sentences] == [("parts",), ()]


def words(count: int) -> tuple[str, str]:
    """Give so many words in a row, none beside its like, and what they become."""
    english, french = ["One", "Two", "Three", "Four"], ["Un", "Deux", "Trois", "Quatre"]
    return tuple(" ".join((side * count)[:count]) for side in (english, french))  # type: ignore


def test_a_sentence_as_long_as_a_piece_is_read_at_once(translator: Translator) -> None:
    text, expected = words(LONGEST_PIECE)
    found = translator(text)
    assert (found.text, found.flags) == (expected, ())
    assert (found.coverage.read, found.coverage.total) == (LONGEST_PIECE, LONGEST_PIECE)


@pytest.mark.parametrize("count", [2 * LONGEST_PIECE, 3 * LONGEST_PIECE, LONGEST_PIECE + 4])
def test_a_longer_sentence_is_read_in_pieces_and_each_word_once(
    count: int, translator: Translator
) -> None:
    text, expected = words(count)
    found = translator(text)
    assert found.flags == ("windowed",)
    assert found.sentences[0].flags == ("windowed",)
    assert (found.coverage.read, found.coverage.total) == (count, count)
    assert found.text == expected


def test_pieces_stay_with_their_own_sentence(translator: Translator) -> None:
    text, expected = words(2 * LONGEST_PIECE)
    found = translator(["Five. Six", f"{text}\nSix", "Five"])
    assert [one.text for one in found] == ["Cinq . Sis", f"{expected}\nSis", "Cinq"]
    assert [one.flags for one in found] == [(), ("windowed",), ()]
    assert [one.flags for one in found[1].sentences] == [("windowed",), ()]


def test_a_document_is_translated_alike_in_any_company(translator: Translator) -> None:
    texts = ["One Two Three Four Five.", "Six", "", "Two. Two.", "42"]
    together = translator(texts)
    assert [one.text for one in together] == [translator(text).text for text in texts]
    assert [one.text for one in translator(tuple(texts[::-1]))] == [
        one.text for one in together[::-1]
    ]
    streamed = list(translator.stream([texts[:2], texts[2:]]))
    assert [one.text for some in streamed for one in some] == [one.text for one in together]


def test_a_code_before_a_document_is_read_before_each_of_its_sentences(
    translator: Translator,
) -> None:
    text = "  >>fr<<  One Two. Three."
    plain, found = translator(["Four.", text])
    assert plain.text == "Quatre ."
    assert found.text == "(fr) Un Deux . (fr) Trois ."
    assert [(one.start, one.end) for one in found.sentences] == [(10, 18), (19, 25)]
    assert all(text[one.start : one.end] == one.source for one in found.sentences)
    told = translator("One Two. Three.", options=TranslateOptions(target_code=">>fr<<"))
    assert told.text == found.text
    assert [one.start for one in told.sentences] == [0, 9]


def test_a_code_that_the_model_does_not_know_is_a_word_like_others(translator: Translator) -> None:
    assert translator(">>de<< One").text == "Un"
    with pytest.raises(DataError, match=r"target_code is '>>de<<', which .* it has >>fr<<"):
        translator("One", options=TranslateOptions(target_code=">>de<<"))
    with pytest.raises(DataError, match=r"target_code is 'es', which .* it has >>fr<<"):
        translator("One", options=TranslateOptions(target_code="es"))


def test_a_document_that_is_not_split_is_one_sentence(translator: Translator) -> None:
    found = translator("One. Two.", options=TranslateOptions(splits=False))
    assert found.text == "Un . Deux ."
    assert [(one.start, one.end) for one in found.sentences] == [(0, 9)]


def test_what_the_options_say_goes_before_what_the_folder_says() -> None:
    told = translator_of(copying_model(), num_beams=3, max_length=6)
    assert told("One").text == "Un"
    with pytest.raises(ConfigError, match="coverage_penalty is 0.1 and num_beams is 1"):
        told("One", options=TranslateOptions(num_beams=1, coverage_penalty=0.1))
    assert told("One", options=TranslateOptions(coverage_penalty=0.1)).text == "Un"
    assert told("One", options=TranslateOptions(num_beams=2, length_penalty=2.0)).text == "Un"


def test_a_score_is_the_mean_log_probability_of_a_token() -> None:
    # So unsure that all of the vocabulary is nearly even.
    translator = translator_of(copying_model(sureness=0.0), max_length=2)
    assert translator("One").sentences[0].score == pytest.approx(
        -torch.tensor(float(config().vocab_size)).log().item(), abs=1e-5
    )


def hypothesis(*ids: int, has_ended: bool = True) -> Hypothesis:
    return Hypothesis(ids, 0.0, (0.0,) * len(ids), has_ended)


LOOP, OTHER_LOOP, SOUND = hypothesis(*[7] * 12), hypothesis(*[8] * 12), hypothesis(7, 8, 7)
CUT_LOOP = hypothesis(*[9] * 12, has_ended=False)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        # Fewer faults win, whichever came first.
        (LOOP, SOUND, SOUND),
        (CUT_LOOP, LOOP, LOOP),
        (LOOP, CUT_LOOP, LOOP),
        # As many faults: the model's own log-probability decides, not the order.
        (LOOP, OTHER_LOOP, LOOP),
        (OTHER_LOOP, LOOP, LOOP),
    ],
)
def test_the_better_of_two_attempts_is_kept(
    first: Hypothesis, second: Hypothesis, kept: Hypothesis, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = translator_of(copying_model())
    means = {LOOP.ids: -1.0, OTHER_LOOP.ids: -2.0}
    attempts = iter([first, second])

    def log_probs(_: object, __: object, examples: Any) -> list[list[float]]:
        return [[means[tuple(example.target.tolist())]] for example in examples]

    monkeypatch.setattr("zhixing.tasks.translation.translator.token_log_probs", log_probs)
    monkeypatch.setattr(Translator, "generate", lambda *_, **__: [[next(attempts)]])
    translation = translator("One Two Three.").sentences[0]
    assert translation.text == translator.task.text_format.text(kept.ids)
    assert "redone" in translation.flags


def test_a_text_has_to_be_one(translator: Translator) -> None:
    with pytest.raises(DataError, match="texts holds .* at character 4, half of a surrogate pair"):
        translator(["One", "One \ud800"])


def test_a_model_that_does_not_write_is_refused() -> None:
    reader = build(replace(config(), decoder_layers=0, head="none", tie_output=True))
    with pytest.raises(ConfigError, match=r"the model does not write \(its head is 'none'\)"):
        translator_of(reader)
