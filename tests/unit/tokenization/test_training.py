import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zhixing.errors import ConfigError, DataError
from zhixing.tokenization.files import load_tokenizer, save_tokenizer
from zhixing.tokenization.tokenizer import Wrapped
from zhixing.tokenization.training import train_tokenizer

TEXTS = [
    "The lowest of the low trees lowered its branches slowly.",
    "Lower and lower went the slow river, slowest in the lowlands.",
    "我在学习中文,也在学习英文。",
    "学习语言需要时间 and patience.",
    "Été: où naît l’idée?",
] * 5
KINDS = ["wordpiece", "byte_bpe", "unigram"]
SIZES = {"wordpiece": 200, "byte_bpe": 400, "unigram": 150}


@pytest.mark.parametrize("kind", KINDS)
def test_training_keeps_to_the_size_and_learns_frequent_words(kind: Any) -> None:
    tokenizer = train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind])
    assert tokenizer.vocab_size <= SIZES[kind]
    known = tokenizer.ids(["the slow low"])[0]
    assert len(known) <= 8
    assert tokenizer.unknown_id not in known


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_give_the_same_tokenizer(kind: Any) -> None:
    one, two = (train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind]) for _ in range(2))
    assert one.fingerprint() == two.fingerprint()


def test_the_same_texts_give_the_same_tokenizer_in_another_process() -> None:
    here = [
        train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind]).fingerprint() for kind in SIZES
    ]  # type: ignore[arg-type]
    code = (
        "from zhixing.tokenization.training import train_tokenizer as train\n"
        f"for kind, size in {SIZES!r}.items():\n"
        f"    print(train({TEXTS!r}, kind=kind, vocab_size=size).fingerprint())\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == here


@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_tokenizer_survives_saving(kind: Any, tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind])
    save_tokenizer(tokenizer, tmp_path)
    again = load_tokenizer(tmp_path)
    texts = [*TEXTS, "unseen ☃ [MASK] <mask>", "lowlowlowlow" * 30]
    assert again.ids(texts) == tokenizer.ids(texts)
    assert again.special == tokenizer.special
    assert again.fingerprint() == tokenizer.fingerprint()


def test_word_pieces_have_berts_roles_and_template() -> None:
    tokenizer = train_tokenizer(TEXTS, kind="wordpiece", vocab_size=200)
    assert [tokenizer.piece(token_id) for token_id in range(5)] == [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    ]
    assert tokenizer.wrap([9], [8]) == Wrapped([2, 9, 3, 8, 3], [0, 0, 0, 1, 1])
    assert (tokenizer.classify_id, tokenizer.separator_id, tokenizer.mask_id) == (2, 3, 4)
    assert tokenizer.tokens("the [MASK]").pieces[-1] == "[MASK]"
    assert tokenizer.tokens("☃").pieces == ["[UNK]"]


@pytest.mark.parametrize("kind", ["byte_bpe", "unigram"])
def test_the_others_have_robertas_roles_and_template(kind: Any) -> None:
    tokenizer = train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind])
    assert [tokenizer.piece(token_id) for token_id in range(4)] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert tokenizer.mask_id == tokenizer.vocab_size - 1
    assert tokenizer.wrap([9], [8]) == Wrapped([0, 9, 2, 2, 8, 2], [0] * 6)
    assert tokenizer.start_id == tokenizer.classify_id == 0
    assert tokenizer.end_id == tokenizer.separator_id == 2
    assert tokenizer.tokens("slow <mask>").pieces[-1] == "<mask>"
    assert "▁" not in tokenizer.tokens("slow <mask>").pieces[-2:]


def test_chinese_characters_are_single_pieces_in_word_pieces() -> None:
    tokenizer = train_tokenizer(TEXTS, kind="wordpiece", vocab_size=200)
    assert tokenizer.tokens("学习中文abc").pieces[:4] == ["学", "习", "中", "文"]
    assert tokenizer.id_of("学习") is None
    assert tokenizer.id_of("##习") is None


def test_any_text_is_spelled_by_bytes_and_given_back() -> None:
    tokenizer = train_tokenizer(TEXTS, kind="byte_bpe", vocab_size=400)
    for text in ("☃ 𝒳\x00\n  é é", *TEXTS):
        assert tokenizer.decode(tokenizer.ids([text])[0]) == text


@pytest.mark.parametrize("kind", KINDS)
def test_lowercase_makes_capitals_small(kind: Any) -> None:
    small = train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind], lowercase=True)
    assert small.ids(["The LOWEST"]) == small.ids(["the lowest"])
    cased = train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind])
    assert cased.ids(["The LOWEST"]) != cased.ids(["the lowest"])


def test_only_lowercased_word_pieces_drop_accents() -> None:
    small = train_tokenizer(TEXTS, kind="wordpiece", vocab_size=200, lowercase=True)
    assert small.ids(["Été"]) == small.ids(["ete"])
    cased = train_tokenizer(TEXTS, kind="wordpiece", vocab_size=200)
    assert cased.ids(["Été"]) != cased.ids(["Ete"])


@pytest.mark.parametrize("kind", ["wordpiece", "byte_bpe"])
def test_rare_pairs_do_not_become_pieces(kind: Any) -> None:
    often = train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind], min_frequency=1)
    rarely = train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind], min_frequency=40)
    assert rarely.vocab_size < often.vocab_size


def test_a_frequent_word_counts_as_often_as_it_occurs() -> None:
    texts = ["zq " * 2_500, "ab " * 2_400, "ab"]
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=20, min_frequency=2_450)
    assert tokenizer.tokens("zq ab").pieces == ["zq", "a", "##b"]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_read_once_from_any_iterable(kind: Any) -> None:
    def stream() -> Iterator[str]:
        yield from TEXTS

    listed = train_tokenizer(TEXTS, kind=kind, vocab_size=SIZES[kind])
    streamed = train_tokenizer(stream(), kind=kind, vocab_size=SIZES[kind])
    assert streamed.fingerprint() == listed.fingerprint()


def test_a_long_text_is_not_left_out() -> None:
    text = "slow lowlands " * 400
    tokenizer = train_tokenizer([text], kind="unigram", vocab_size=40)
    assert len(text) > 4_192
    assert "▁lowlands" in tokenizer.tokens("slow lowlands").pieces


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("texts", [[], [""], [" ", "\n"]])
def test_nothing_to_learn_from_is_refused(kind: Any, texts: list[str]) -> None:
    with pytest.raises(DataError, match="texts holds nothing but blanks; give at least one text"):
        train_tokenizer(texts, kind=kind, vocab_size=400)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lone_surrogate_is_refused_with_its_text(kind: Any) -> None:
    with pytest.raises(DataError, match=r"text 25 has a lone surrogate, U\+D800, at character 2"):
        train_tokenizer([*TEXTS, "ab\ud800"], kind=kind, vocab_size=400)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_the_texts_stays_what_it_is(kind: Any) -> None:
    def broken() -> Iterator[str]:
        yield TEXTS[0]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        train_tokenizer(broken(), kind=kind, vocab_size=400)


@pytest.mark.parametrize(("kind", "least"), [("wordpiece", 5), ("byte_bpe", 261), ("unigram", 5)])
def test_a_size_without_room_is_refused_with_the_least(kind: Any, least: int) -> None:
    message = f"vocab_size is {least}, but {kind} needs {least} pieces before .* {least + 1},"
    with pytest.raises(ConfigError, match=message):
        train_tokenizer(TEXTS, kind=kind, vocab_size=least)


def test_a_size_below_the_characters_is_refused_with_their_number() -> None:
    with pytest.raises(ConfigError, match=r"vocab_size is 20, but the characters .* take \d\d+ "):
        train_tokenizer(TEXTS, kind="wordpiece", vocab_size=20)
    with pytest.raises(ConfigError, match=r"vocab_size is 20, with which sentencepiece .*required"):
        train_tokenizer(TEXTS, kind="unigram", vocab_size=20)


def test_a_frequency_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="min_frequency is 0; choose 1 or more"):
        train_tokenizer(TEXTS, kind="wordpiece", vocab_size=200, min_frequency=0)
