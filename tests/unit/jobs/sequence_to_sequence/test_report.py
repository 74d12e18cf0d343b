"""A report's numbers are sacreBLEU's own, and its worst pairs are the least alike."""

import json

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from zhixing.errors import DataError
from zhixing.evaluation.claims import Origin
from zhixing.jobs.sequence_to_sequence.report import TextReport, evaluate_texts

ORIGIN = Origin(data="d" * 64, model="m" * 64, version="1.2.3", seed=7)
SOURCES = ["The cat sleeps.", "A dog barks loudly.", "Nobody knows.", "Two men walk home."]
REFERENCES = [
    "Le chat dort.",
    "Un chien aboie fort.",
    "Personne ne le sait.",
    "Deux hommes rentrent à la maison.",
]
WRITTEN = [
    "Le chat dort.",
    "Un chien aboie très fort.",
    "Personne xyz qrs.",
    "Deux hommes marchent à la maison.",
]


def report(written: list[str] = WRITTEN, **changes: object) -> TextReport:
    given = {"rows": [11, 12, 13, 14], "cut": 2, "origin": ORIGIN} | changes
    return evaluate_texts(SOURCES, written, REFERENCES, **given)  # type: ignore[arg-type]


def test_the_scores_are_sacrebleus() -> None:
    found = report()
    bleu, chrf, ter = BLEU(), CHRF(), TER()
    expected = {"bleu": bleu.corpus_score(WRITTEN, [REFERENCES]).score}
    expected["chrf"] = chrf.corpus_score(WRITTEN, [REFERENCES]).score
    assert {name: claim.value for name, claim in found.scores.items()} == expected
    assert list(found.scores) == ["bleu", "chrf"]
    assert found.error_rate == ter.corpus_score(WRITTEN, [REFERENCES]).score
    for claim in found.scores.values():
        assert 0.0 <= claim.interval.low < claim.interval.high
    assert 30.0 < expected["bleu"] < expected["chrf"] < 90.0


def test_the_texts_themselves_score_all_points() -> None:
    found = report(REFERENCES)
    assert [claim.value for claim in found.scores.values()] == pytest.approx([100.0, 100.0])
    assert found.lower_cased_bleu == pytest.approx(100.0)
    assert (found.error_rate, found.length_ratio) == (0.0, 1.0)


def test_only_one_score_does_not_see_capitals() -> None:
    found = report([text.lower() for text in REFERENCES])
    assert found.lower_cased_bleu == pytest.approx(100.0)
    assert found.scores["bleu"].value < 100.0


def test_the_least_alike_come_first_with_their_rows() -> None:
    found = report()
    assert [pair.row for pair in found.worst] == [13, 14, 12, 11]
    assert [pair.chrf for pair in found.worst] == sorted(pair.chrf for pair in found.worst)
    first, last = found.worst[0], found.worst[-1]
    assert (first.source, first.written) == ("Nobody knows.", "Personne xyz qrs.")
    assert first.reference == "Personne ne le sait."
    assert last.chrf == pytest.approx(100.0)
    assert found.worst[1].chrf == CHRF().sentence_score(WRITTEN[3], [REFERENCES[3]]).score


def test_no_more_than_fifty_are_kept_and_all_are_counted() -> None:
    count = 52
    texts = ["one two three"] * (count - 1) + ["one xyz"]
    found = evaluate_texts(
        texts,
        texts,
        ["one two three"] * count,
        rows=list(range(count)),
        cut=0,
        origin=ORIGIN,
    )
    assert found.rows == count
    assert len(found.worst) == 50
    # Of pairs that are alike the earlier one comes first.
    assert [pair.row for pair in found.worst[:3]] == [count - 1, 0, 1]


def test_the_length_is_counted_in_characters() -> None:
    assert sum(map(len, REFERENCES)) == 86
    assert report([text[:-1] for text in REFERENCES]).length_ratio == pytest.approx(82 / 86)
    assert report([text.ljust(2 * len(text)) for text in REFERENCES]).length_ratio == 2.0


def test_what_was_cut_and_measured_stands_in_the_report() -> None:
    found = report()
    assert (found.rows, found.cut, found.against) == (4, 2, [])
    for part in ("metric:bleu", "rows:4", "seed:7", "data:dddddddddddd", "model:mmmmmmmmmmmm"):
        assert part in found.signature.split("|")
    assert "tok:13a" in found.bleu_signature and "case:mixed" in found.bleu_signature
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["scores"]["chrf"]["value"] == found.scores["chrf"].value
    assert plain["worst"][0]["row"] == 13


def test_another_model_is_held_against_the_same_rows() -> None:
    others = ["Le chat.", "Un chien.", "Personne.", "Deux."]
    found = report(others=others)
    assert [one.metric for one in found.against] == ["bleu", "chrf"]
    assert [one.score for one in found.against] == pytest.approx(
        [claim.value for claim in found.scores.values()]
    )
    expected = CHRF().corpus_score(others, [REFERENCES]).score
    assert found.against[1].other == pytest.approx(expected)
    assert found.against[1].difference == pytest.approx(found.scores["chrf"].value - expected)


def test_texts_of_which_most_have_no_right_word_are_scored_too() -> None:
    found = report(["Le chat dort.", "xyz", "xyz", "xyz"])
    assert found.scores["bleu"].interval.low <= found.scores["bleu"].value


def test_texts_without_references_are_refused() -> None:
    with pytest.raises(DataError, match="1 texts cannot be scored against 0 references"):
        evaluate_texts(["a"], ["b"], [], rows=[1], cut=0, origin=ORIGIN)
