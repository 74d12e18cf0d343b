"""The translator that comes with the package: what its card says, what it writes."""

import json
from pathlib import Path

import pytest
from shared_data import real_set

import zhixing as zx
from zhixing.checkpoints.builtin import built_in_names, locate
from zhixing.checkpoints.fetch import fetch
from zhixing.checkpoints.fingerprint import model_hash
from zhixing.checkpoints.pretrained import load_pretrained, save_pretrained
from zhixing.errors import CheckpointError, ConfigError, DataError, ZhixingError
from zhixing.models.quantization import has_released, is_quantized
from zhixing.tasks.translation.translator import Translator
from zhixing.workflows.load import load


@pytest.fixture(scope="module")
def translator() -> Translator:
    return load("en-fr")


def test_it_is_small_int8_and_has_its_card() -> None:
    folder = locate("en-fr")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16 * 2**20
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    for part in ("## Scores", "## Data", "## Recipe", "## Weaknesses", "## Licence"):
        assert part in card
    assert "{" not in card
    values = json.loads((folder / "zhixing.json").read_text(encoding="utf-8"))
    assert values["scores"]["everyday sentences"]["bleu"]["value"] > 33
    assert values["scores"]["software documentation"]["bleu"]["value"] > 24
    for moved in values["quantization"].values():
        assert moved["bleu_after"] > moved["bleu_before"] - 0.2


def test_it_translates_offline(translator: Translator) -> None:
    assert is_quantized(translator.model)
    assert translator("This is an example sentence.").text == "C'est un exemple de phrase."
    found = translator("Where is the station?\n\nSee https://example.org for {name}.\n")
    assert found.text.startswith("Où est la gare ?\n\n")
    assert "https://example.org" in found.text
    assert "{name}" in found.text


@pytest.mark.parametrize(
    ("name", "claimed"),
    [("tatoeba_en-fr", "everyday sentences"), ("techdocs_en-fr", "software documentation")],
)
def test_its_scores_are_those_of_the_card(name: str, claimed: str) -> None:
    data = real_set(name, "validation.tsv")
    scores = json.loads((locate("en-fr") / "zhixing.json").read_text(encoding="utf-8"))["scores"]
    report = zx.evaluate("en-fr", data)
    lines = data.read_text(encoding="utf-8").splitlines()
    assert report.rows == len(lines) - 1
    assert abs(report.scores["bleu"].value - scores[claimed]["bleu"]["value"]) <= 0.3


def test_its_words_are_aligned(translator: Translator) -> None:
    (found,) = zx.align_pairs(translator, ["Tom reads 42 books."], ["Tom lit 42 livres."])
    words = {found.target[link.target]: found.source[link.source] for link in found.links}
    assert words["Tom"] == "Tom"
    assert words["42"] == "42"
    assert words["livres"] == "books"


def test_it_needs_no_fetching_and_is_named_among_the_built_in() -> None:
    assert fetch("en-fr") == locate("en-fr")
    assert "en-fr" in built_in_names()
    with pytest.raises(CheckpointError, match="minilm, en-fr"):
        locate("en-de")


def test_a_model_in_use_is_not_saved_without_its_weights(
    translator: Translator, tmp_path: Path
) -> None:
    translator("Good morning.")
    with pytest.raises(ConfigError, match="given up the weights"):
        save_pretrained(translator.pretrained, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_it_is_adapted_and_held_against_what_it_was(tmp_path: Path) -> None:
    lines = real_set("multi30k_en-fr", "train.tsv").read_text(encoding="utf-8").splitlines()
    for name, rows in (("new", lines[1:401]), ("held", lines[401:441]), ("old", lines[441:471])):
        text = "\n".join(["source\ttarget", *rows]) + "\n"
        (tmp_path / f"{name}.tsv").write_text(text, encoding="utf-8")
    finished = zx.train(
        "translate",
        data=tmp_path / "new.tsv",
        validation=tmp_path / "held.tsv",
        model="en-fr",
        out=tmp_path / "run",
        epochs=1,
        precision="float32",
        old=str(tmp_path / "old.tsv"),
    )
    assert finished is not None
    for report in (finished.report, finished.reports["old domain"]):
        assert [one.metric for one in report.against] == ["bleu", "chrf"]
        assert all(0 < one.p_value <= 1 for one in report.against)
    card = json.loads((tmp_path / "run" / "zhixing.json").read_text(encoding="utf-8"))
    assert card["scores"]["old domain"]["bleu"]["before"] > 0
    assert finished.report.against[0].other > 10
    values = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert values["model_type"] == "m2m_100"
    assert zx.load(tmp_path / "run")("Two men.").text


def test_a_new_model_has_nothing_old(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no such past"):
        zx.train(
            "translate",
            data={"source": ["a b"] * 40, "target": ["c d"] * 40},
            model="new",
            out=tmp_path / "run",
            old=str(real_set("multi30k_en-fr", "validation.tsv")),
        )


def test_alternatives_begin_as_told_and_go_on_from_there(translator: Translator) -> None:
    found = zx.alternatives(translator, "I saw a small dog.", start="J'ai vu un", count=4)
    assert len({one.token for one in found}) == 4
    assert all(one.text.startswith("J'ai vu un") for one in found)
    shares = [one.probability for one in found]
    assert shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 1
    first = zx.alternatives(translator, "Good morning.", count=3)
    assert len({one.text.split()[0] for one in first}) == 3
    # The likeliest is what the model writes when it takes the best token every time.
    greedy = zx.TranslateOptions(num_beams=1)
    assert first[0].text[:3] == translator("Good morning.", options=greedy).text[:3]
    with pytest.raises(ConfigError, match="count is 0"):
        zx.alternatives(translator, "Good morning.", count=0)
    with pytest.raises(DataError, match="source is blank"):
        zx.alternatives(translator, "  ")


def test_its_hash_is_the_same_before_and_after_it_was_used() -> None:
    fresh = load("en-fr")
    before = model_hash(fresh.model)
    fresh("Good morning.")
    assert has_released(fresh.model)
    assert model_hash(fresh.model) == before
    assert model_hash(load_pretrained(locate("en-fr")).model) == before


def test_several_translations_are_unlike_each_other(translator: Translator) -> None:
    source = "I would like to know where the station is."
    found = zx.variants(translator, source, count=4)
    texts = [one.text for one in found]
    assert len(set(texts)) == len(texts) == 4
    assert any("gare" in text for text in texts)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    near = zx.variants(translator, source, count=4, diversity=0.0)
    assert len({one.text for one in near}) == len(near) > 1


@pytest.mark.parametrize(
    ("source", "count", "message"),
    [(" ", 3, "source is blank"), ("Hello.", 0, "count is 0; it has to lie between 1 and 64")],
)
def test_several_translations_of_nothing_are_refused(
    translator: Translator, source: str, count: int, message: str
) -> None:
    with pytest.raises(ZhixingError, match=message):
        zx.variants(translator, source, count=count)
