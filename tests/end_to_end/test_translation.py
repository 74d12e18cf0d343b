"""Translation from pairs to a file, on a model that learns a small language by heart."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zhixing as zx
from zhixing.errors import ZhixingError
from zhixing.tasks.translation.translator import Translator

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
CHIFFRES = ["un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"]
THINGS = {"dog": "chien", "cat": "chat", "house": "maison", "tree": "arbre", "book": "livre"}
VERBS = {"sees": "voit", "wants": "veut", "finds": "trouve"}


def sentence(draw: random.Random) -> tuple[str, str]:
    number, other = draw.randrange(10), draw.randrange(10)
    first, second = draw.choices(list(THINGS), k=2)
    verb = draw.choice(list(VERBS))
    return (
        f"{NUMBERS[number]} {first} {verb} {NUMBERS[other]} {second}.",
        f"{CHIFFRES[number]} {THINGS[first]} {VERBS[verb]} {CHIFFRES[other]} {THINGS[second]}.",
    )


@pytest.fixture(scope="session")
def translator_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a translator of a few words in some seconds."""
    draw = random.Random(0)
    pairs = [sentence(draw) for _ in range(1200)]
    folder = tmp_path_factory.mktemp("translator") / "model"
    zx.train(
        "translate",
        data={"source": [a for a, _ in pairs], "target": [b for _, b in pairs]},
        model="new",
        out=folder,
        epochs=8,
        batch_tokens=1024,
        learning_rate=5e-3,
        precision="float32",
        evaluations_per_epoch=0,
        **{
            "new.vocab_size": 120,
            "new.hidden_size": 48,
            "new.encoder_layers": 1,
            "new.decoder_layers": 1,
            "new.num_heads": 2,
            "new.feed_forward_size": 96,
            "new.dropout": 0.0,
        },
    )
    return folder


@pytest.fixture(scope="session")
def translator(translator_folder: Path) -> Translator:
    loaded = zx.load(translator_folder)
    assert isinstance(loaded, Translator)
    return loaded


def test_a_small_language_is_learned(translator: Translator) -> None:
    draw = random.Random(1)
    pairs = [sentence(draw) for _ in range(50)]
    found = translator([source for source, _ in pairs])
    right = sum(one.text == target for one, (_, target) in zip(found, pairs, strict=True))
    assert right >= 45


def test_lines_spaces_and_what_is_no_language_stay(translator: Translator) -> None:
    text = "  one dog sees two cat.  six tree wants one book.\n\n42\n\thttps://example.org\n"
    found = translator(text)
    assert found.text == (
        "  un chien voit deux chat.  six arbre veut un livre.\n\n42\n\thttps://example.org\n"
    )
    assert found.coverage.read == found.coverage.total > 0
    first = found.sentences[0]
    assert text[first.start : first.end] == first.source == "one dog sees two cat."
    assert first.score < 0.0
    assert [pair.flags for pair in found.sentences[2:]] == [("copied",), ("copied",)]


def test_placeholders_and_terms_survive(translator: Translator) -> None:
    text = "one dog {name} sees two cat."
    found = translator(text)
    assert "{name}" in found.text
    assert "parts" in found.flags or "{name}" in found.sentences[0].text
    options = zx.TranslateOptions(terms={"dog": "toutou"})
    assert "toutou" in translator("one dog sees two cat.", options=options).text


def test_a_code_of_the_language_is_written_first(translator: Translator) -> None:
    first = translator.text_format.target.tokens("dix").pieces[0]
    options = zx.TranslateOptions(target_code=first)
    found = translator("one dog sees two cat.", options=options).text
    assert found.startswith(first.lstrip("▁"))
    assert not translator("one dog sees two cat.").text.startswith(first.lstrip("▁"))
    with pytest.raises(ZhixingError, match=r"target_code is '>>xxx<<', which the model's vocab"):
        translator("one dog", options=zx.TranslateOptions(target_code=">>xxx<<"))


def test_neighbours_change_nothing(translator: Translator) -> None:
    draw = random.Random(2)
    texts = [sentence(draw)[0] for _ in range(20)]
    together = [one.text for one in translator(texts)]
    assert together == [translator(text).text for text in texts]
    assert [one.text for one in translator(texts[::-1])] == together[::-1]


def test_a_beam_and_int8_agree_on_what_is_sure(translator_folder: Path) -> None:
    draw = random.Random(3)
    texts = [sentence(draw)[0] for _ in range(30)]
    plain = zx.load(translator_folder)
    rounded = zx.load(translator_folder, precision="int8")
    options = zx.TranslateOptions(num_beams=1)
    left, right = ([one.text for one in m(texts, options=options)] for m in (plain, rounded))
    assert sum(a == b for a, b in zip(left, right, strict=True)) >= 27


def torture() -> list[str]:
    draw = random.Random(4)
    marks = ["\u200b", "\x00", "\x07", "\ufeff", "\u202e", "é", "e\u0301", "ﷺ", "𝕏", "🏳️‍🌈", "\t"]
    odd = [
        "",
        " ",
        "\u3000",
        "😅" * 50,
        "a" * 5000,
        "one dog " * 500,
        "one, " * 300,
        "!!!???",
        "知行合一。" * 20,
        "مرحبا بالعالم",
        "one dog\u2028two cat",
        ">>fra<< one dog",
        "</s> <pad> <unk>",
        "{a}{b}{c}",
        "<b>" * 40,
        "%s" * 30,
        "http://a.b " * 20,
        "ONE DOG SEES TWO CAT!!!",
        "...",
        "- one\n- two\n- three",
    ]
    letters = [*"abc .,!?", *marks, *NUMBERS]
    return [*odd, *("".join(draw.choices(letters, k=draw.randint(1, 40))) for _ in range(300))]


def test_nothing_is_lost_whatever_is_given(translator: Translator) -> None:
    texts = torture()
    found = translator(texts, options=zx.TranslateOptions(num_beams=1))
    assert len(found) == len(texts)
    for text, one in zip(texts, found, strict=True):
        assert one.coverage.read == one.coverage.total
        assert len(one.text.splitlines()) == len(text.splitlines())
        assert bool(one.text.strip()) == bool(text.strip())
        for pair in one.sentences:
            assert "cut" not in pair.flags or "redone" in pair.flags


def test_a_very_long_sentence_is_read_to_its_end(translator: Translator) -> None:
    found = translator("one dog sees two cat " * 400 + "six tree", options=zx.TranslateOptions())
    assert "windowed" in found.flags
    assert found.coverage.read == found.coverage.total > 2000


def words_of(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "zhixing", *map(str, arguments)]


def test_a_killed_translation_goes_on(translator_folder: Path, tmp_path: Path) -> None:
    draw = random.Random(5)
    lines = [sentence(draw)[0] for _ in range(1500)]
    book, output = tmp_path / "book.txt", tmp_path / "book.fr.txt"
    book.write_text("\n".join(lines) + "\n")
    told = ("translate", translator_folder, "--input", book, "--output", output)
    partial = tmp_path / ".book.fr.txt.partial"
    running = subprocess.Popen(words_of(*told), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size):
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not output.exists()
    with partial.open("a") as file:
        file.write("half a li")
    done = partial.read_text().splitlines()[:-1]
    assert 0 < len(done) < len(lines)
    subprocess.run(words_of(*told), check=True, capture_output=True)
    whole = output.read_text().splitlines()
    assert len(whole) == len(lines)
    assert whole[: len(done)] == done
    assert sorted(path.name for path in tmp_path.iterdir()) == ["book.fr.txt", "book.txt"]


def test_every_kind_of_file_is_written(
    translator_folder: Path, tmp_path: Path, command: Callable[..., Any]
) -> None:
    source = tmp_path / "in.jsonl"
    rows = [{"text": "one dog sees two cat."}, {"text": "six tree.\nten book."}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "out.jsonl"
    told = command("translate", translator_folder, "--input", source, "--output", output)
    assert told.status == 0, told.err
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [one["row"] for one in found] == [1, 2]
    assert found[0]["text"] == "un chien voit deux chat."
    assert "\n" in found[1]["text"]
    told = command(
        "translate", translator_folder, "--input", source, "--output", tmp_path / "out.txt"
    )
    assert told.status == 2
    assert "row 2 holds a line break or tab, which a .txt file cannot keep" in told.err


def test_a_translator_is_refused_where_a_classifier_is_needed(
    translator_folder: Path, command: Callable[..., Any]
) -> None:
    told = command("classify", translator_folder, "one dog")
    assert told.status == 2
    assert "writes texts and does not classify; use zhixing translate" in told.err


def test_given_targets_are_scored_as_they_are_when_written(translator: Translator) -> None:
    draw = random.Random(2)
    sources = [sentence(draw)[0] for _ in range(20)]
    written = translator(sources, options=zx.TranslateOptions(splits=False))
    scored = zx.score_pairs(translator, sources, [one.text for one in written])
    for one, own in zip(written, scored, strict=True):
        assert own.score == pytest.approx(one.sentences[0].score, abs=1e-4)
        assert own.total == pytest.approx(sum(own.log_probs))
        assert own.tokens[-1] == "</s>"
    wrong = zx.score_pairs(translator, sources[:1], ["neuf maison veut dix arbre."])
    assert wrong[0].score < scored[0].score - 1
    with pytest.raises(ZhixingError, match="2 sources and 1 targets"):
        zx.score_pairs(translator, ["one", "two"], ["un"])
    with pytest.raises(ZhixingError, match=r"pair 2 has .* tokens, but the model takes"):
        zx.score_pairs(translator, ["one", "two"], ["un", "un " * 5000])


def test_words_are_aligned_in_any_batch_alike(translator: Translator) -> None:
    draw = random.Random(3)
    pairs = [sentence(draw) for _ in range(60)]
    found = zx.align_pairs(translator, [a for a, _ in pairs], [b for _, b in pairs])
    right = total = 0
    for number, ((source, target), one) in enumerate(zip(pairs, found, strict=True)):
        assert one.source == tuple(source.replace(".", " .").split())
        assert one.target == tuple(target.replace(".", " .").split())
        assert [link.target for link in one.links] == list(range(len(one.target)))
        right += sum(link.source == link.target for link in one.links[:5])
        total += 5
        if number < 3:
            assert zx.align_pairs(translator, [source], [target]) == [one]
    # The language keeps the order of words.
    assert right > 0.6 * total
    assert str(found[0]).split()[0].endswith("-0")


def test_pairs_of_a_file_are_scored_and_the_unlikely_ones_named(
    translator_folder: Path, tmp_path: Path
) -> None:
    draw = random.Random(4)
    pairs = [sentence(draw) for _ in range(30)]
    pairs[17] = (pairs[17][0], "neuf neuf neuf.")
    table = tmp_path / "pairs.tsv"
    rows = ["source\ttarget", *("\t".join(pair) for pair in pairs)]
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    out = tmp_path / "scores.jsonl"
    command = [
        "score",
        str(translator_folder),
        "--data",
        str(table),
        "--output",
        str(out),
        "--align",
    ]
    done = subprocess.run(words_of(*command), check=True, capture_output=True, text=True)
    assert "30 pairs" in done.stdout
    assert "rows 18 (" in done.stdout
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["row"] for line in lines] == list(range(1, 31))
    assert lines[0]["alignment"]["pharaoh"].count("-") == 6
    again = subprocess.run(words_of(*command), check=False, capture_output=True, text=True)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def test_one_model_writes_the_language_that_a_code_names(tmp_path: Path) -> None:
    draw = random.Random(6)
    german = {"dog": "Hund", "cat": "Katze", "house": "Haus", "tree": "Baum", "book": "Buch"}
    deutsch = {"sees": "sieht", "wants": "will", "finds": "findet"}
    rows = []
    for _ in range(900):
        first, second = draw.choices(list(THINGS), k=2)
        verb = draw.choice(list(VERBS))
        source = f"{first} {verb} {second}."
        rows.append((f">>fr<< {source}", f"{THINGS[first]} {VERBS[verb]} {THINGS[second]}."))
        rows.append((f">>de<< {source}", f"{german[first]} {deutsch[verb]} {german[second]}."))
    zx.train(
        "translate",
        data={"source": [a for a, _ in rows], "target": [b for _, b in rows]},
        model="new",
        out=tmp_path / "model",
        epochs=10,
        batch_tokens=1024,
        learning_rate=5e-3,
        precision="float32",
        evaluations_per_epoch=0,
        **{
            "new.vocab_size": 150,
            "new.hidden_size": 48,
            "new.encoder_layers": 1,
            "new.decoder_layers": 1,
            "new.num_heads": 2,
            "new.feed_forward_size": 96,
            "new.dropout": 0.0,
        },
    )
    both = zx.load(tmp_path / "model")
    found = both([">>fr<< dog sees cat. tree wants book.", ">>de<< dog sees cat. tree wants book."])
    assert [one.text for one in found] == [
        "chien voit chat. arbre veut livre.",
        "Hund sieht Katze. Baum will Buch.",
    ]
    assert found[0].sentences[0].start == len(">>fr<< ")
    told = zx.TranslateOptions(target_code=">>de<<")
    assert both("book finds tree.", options=told).text == "Buch findet Baum."
    with pytest.raises(ZhixingError, match=r"it has >>de<<, >>fr<<"):
        both("book", options=zx.TranslateOptions(target_code=">>es<<"))
