"""How likely given targets are: sums of log-probabilities, written out for each pair by itself."""

import math

import pytest
import torch
from unit.tasks.word_by_word import POSITIONS, config, copying_model, translator_of

from zhixing.errors import DataError
from zhixing.layers.ragged import Ragged
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.scoring import score_pairs

START = END = 2
SOURCES = ["One Two .", "Six", "Four Five One Two Three"]
TARGETS = ["Un Deux .", "Quatre Cinq", ""]
# What the vocabulary gives: three special tokens, then the words in order.
SOURCE_IDS = [[3, 4, 9, END], [8, END], [6, 7, 3, 4, 5, END]]
TARGET_IDS = [[3, 4, 9, END], [6, 7, END], [END]]


@pytest.fixture(scope="module")
def model() -> Transformer:
    return build(config(), seed=3)


def by_hand(model: Transformer, read: list[int], written: list[int]) -> list[float]:
    """Read each beginning of a target from anew, and take the next token's log-softmax."""
    found = []
    for place, token in enumerate(written):
        before = torch.tensor([START, *written[:place]])
        states = model.decoder_states(Ragged.of([torch.tensor(read)]), Ragged.of([before]))
        logits = model.next_logits(states[-1:])[0].double()
        found.append(float(logits[token] - logits.exp().sum().log()))
    return found


@torch.inference_mode()
def test_a_pair_scores_the_log_probabilities_of_its_tokens(model: Transformer) -> None:
    found = score_pairs(translator_of(model), SOURCES, TARGETS)
    for one, read, written in zip(found, SOURCE_IDS, TARGET_IDS, strict=True):
        expected = by_hand(model, read, written)
        assert one.log_probs == pytest.approx(expected, abs=1e-4)
        assert one.total == pytest.approx(sum(expected), abs=1e-4)
        assert one.score == pytest.approx(sum(expected) / len(written), abs=1e-4)


def test_the_tokens_are_named_the_end_last(model: Transformer) -> None:
    found = score_pairs(translator_of(model), SOURCES, TARGETS)
    assert [one.tokens for one in found] == [
        ("Un", "Deux", ".", "</s>"),
        ("Quatre", "Cinq", "</s>"),
        ("</s>",),
    ]
    assert found[2].to_dict()["tokens"] == ("</s>",)


def test_a_pair_scores_alike_in_any_company(model: Transformer) -> None:
    translator = translator_of(model)
    alone = [score_pairs(translator, [a], [b])[0] for a, b in zip(SOURCES, TARGETS, strict=True)]
    # So many positions that their logits are taken in several parts, which end inside pairs.
    together = score_pairs(translator, SOURCES * 60, TARGETS * 60)
    assert len(together) == 180
    for one, other in zip(together, alone * 60, strict=True):
        assert one.tokens == other.tokens
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5)


def test_the_right_target_is_the_likelier_one() -> None:
    # With all logits alike but for the right one, so much above the others.
    found = score_pairs(translator_of(copying_model()), ["One Two", "One Two"], ["Un Deux", "Un"])
    assert found[0].total == pytest.approx(0.0, abs=1e-3)
    assert found[1].log_probs[0] == pytest.approx(0.0, abs=1e-3)
    assert found[1].log_probs[1] < -5.0


def test_without_a_preference_every_token_has_its_share() -> None:
    found = score_pairs(translator_of(copying_model(sureness=0.0)), ["One"], ["Un Deux Trois"])
    assert found[0].score == pytest.approx(-math.log(config().vocab_size), abs=1e-5)
    assert found[0].total == pytest.approx(4 * found[0].score, abs=1e-5)


def test_a_language_that_is_always_written_first_is_one_of_the_tokens(model: Transformer) -> None:
    told = translator_of(model, forced_bos_token_id=12)
    (found,) = score_pairs(told, ["One"], ["Un"])
    assert found.tokens == ("(fr)", "Un", "</s>")
    with torch.inference_mode():
        expected = by_hand(model, [3, END], [12, 3, END])
    assert found.log_probs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        (["One"], [], "there are 1 sources and 0 targets; give one for each"),
        (["One", "One " * POSITIONS], ["Un", "Un"], r"pair 2 has 25 and 2 tokens, .* takes 24"),
        (["One"], ["Un " * POSITIONS], r"pair 1 has 2 and 25 tokens, but the model takes 24"),
    ],
)
def test_pairs_that_are_none_or_do_not_fit_are_refused(
    sources: list[str], targets: list[str], message: str, model: Transformer
) -> None:
    with pytest.raises(DataError, match=message):
        score_pairs(translator_of(model), sources, targets)


def test_no_pairs_have_no_scores(model: Transformer) -> None:
    assert score_pairs(translator_of(model), [], []) == []
