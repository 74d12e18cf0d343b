"""FSMT's tokenizer on a vocabulary of a few pieces: merges by rank, places, texts again."""

import json
from pathlib import Path

import pytest

from zhixing.errors import DataError, TokenizerError
from zhixing.tokenization.fairseq import FairseqTokenizer, read_fairseq, reads_fairseq
from zhixing.tokenization.files import load_tokenizer

START, PADDING, END, UNKNOWN = range(4)
PIECES = ["lo", "low", "low</w>", "er</w>", "l", "o", "w", "e", "r</w>", "w</w>", "n", "new</w>"]
PIECES += [".</w>", "&apos;s</w>", "L", "ow</w>", "-", "@-@</w>"]
VOCABULARY = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *PIECES])}
MERGES = [("l", "o"), ("e", "r</w>"), ("lo", "w"), ("lo", "w</w>"), ("o", "w</w>")]
SAVED = {"vocab-src.json": b"{}"}


def make(
    merges: list[tuple[str, str]] = MERGES, *, lowercase: bool = False, is_target: bool = False
) -> FairseqTokenizer:
    return FairseqTokenizer(
        VOCABULARY, merges, language="en", lowercase=lowercase, files=SAVED, is_target=is_target
    )


@pytest.fixture(scope="module")
def tokenizer() -> FairseqTokenizer:
    return make()


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("low", ["low</w>"]),
        ("lower", ["low", "er</w>"]),
        ("l", ["l</w>"]),
        # "n e w" has no merge; the last letter bears the mark of the word's end.
        ("new", ["n", "e", "w</w>"]),
        ("lolo", ["lo", "l", "o</w>"]),
        ("lololow", ["lo", "lo", "low</w>"]),
        ("lowo", ["low", "o</w>"]),
    ],
)
def test_the_pair_of_the_lowest_rank_is_merged_first(
    word: str, pieces: list[str], tokenizer: FairseqTokenizer
) -> None:
    assert tokenizer.tokens(word).pieces == pieces


def test_the_order_of_the_merges_decides() -> None:
    # "o w</w>" before "l o" leaves the l alone.
    assert make([("o", "w</w>"), ("l", "o")]).tokens("low").pieces == ["l", "ow</w>"]
    assert make([("l", "o"), ("o", "w</w>")]).tokens("low").pieces == ["lo", "w</w>"]


def test_a_piece_that_is_in_no_vocabulary_is_unknown(tokenizer: FairseqTokenizer) -> None:
    found = tokenizer.tokens("lol low")
    assert found.pieces == ["lo", "l</w>", "low</w>"]
    assert found.ids == [VOCABULARY["lo"], UNKNOWN, VOCABULARY["low</w>"]]


def test_many_texts_have_the_ids_of_each_by_itself(tokenizer: FairseqTokenizer) -> None:
    texts = ["lower low.", "", "  ", "</s> low <pad>", "new's"]
    assert tokenizer.ids(texts) == [tokenizer.tokens(text).ids for text in texts]
    assert tokenizer.ids(texts)[1:3] == [[], []]
    assert tokenizer.ids(texts)[3] == [END, VOCABULARY["low</w>"], PADDING]


def test_words_are_parted_by_moses_rules(tokenizer: FairseqTokenizer) -> None:
    assert tokenizer.tokens("low.").pieces == ["low</w>", ".</w>"]
    assert tokenizer.tokens("low's").pieces[-1].endswith("s</w>")
    # Wide punctuation is written plain before.
    assert tokenizer.ids(["low。"]) == tokenizer.ids(["low."])
    assert tokenizer.ids(["lo\u200bw"]) == tokenizer.ids(["low"])


def test_every_token_knows_its_place_also_in_the_second_word(tokenizer: FairseqTokenizer) -> None:
    text = "lower  low lower."
    found = tokenizer.tokens(text)
    assert found.pieces == ["low", "er</w>", "low</w>", "low", "er</w>", ".</w>"]
    assert found.offsets == [(0, 3), (3, 5), (7, 10), (11, 14), (14, 16), (16, 17)]
    assert "".join(text[a:b] for a, b in found.offsets) == text.replace(" ", "")


def test_an_apostrophe_that_moses_writes_otherwise_keeps_its_place(
    tokenizer: FairseqTokenizer,
) -> None:
    text = "low's low"
    offsets = tokenizer.tokens(text).offsets
    assert [text[a:b] for a, b in (offsets[0], offsets[-1])] == ["low", "low"]
    assert offsets[-1] == (6, 9)


def test_small_letters_are_read_where_the_folder_says_so(tokenizer: FairseqTokenizer) -> None:
    assert tokenizer.tokens("LOW").ids[0] == VOCABULARY["L"]
    assert make(lowercase=True).ids(["LOW Lower"]) == tokenizer.ids(["low lower"])


def test_the_end_stands_behind_each_text(tokenizer: FairseqTokenizer) -> None:
    assert tokenizer.wrap([7, 8]).input_ids == [7, 8, END]
    assert tokenizer.wrap([7], [8, 9]).input_ids == [7, END, 8, 9, END]
    assert tokenizer.wrap([7], [8]).token_type_ids == [0] * 4
    for pair in (None, [8]):
        whole = tokenizer.wrap([7], pair).input_ids
        around = len(whole) - 1 - len(pair or [])
        assert tokenizer.num_special(pair=pair is not None) == around


@pytest.mark.parametrize("text", ["lower low", "low.", "new lower."])
def test_a_text_comes_back_joined(text: str, tokenizer: FairseqTokenizer) -> None:
    ids = tokenizer.ids([text])[0]
    assert UNKNOWN not in ids
    assert tokenizer.decode([START, *ids, END]) == text


def test_special_tokens_are_written_only_where_asked_for(tokenizer: FairseqTokenizer) -> None:
    ids = [*tokenizer.ids(["low"])[0], END, PADDING, 10_000]
    assert tokenizer.decode(ids) == "low"
    assert tokenizer.decode(ids[:2], keep_special=True) == "low </s>"


def test_a_side_and_a_file_decide_about_the_fingerprint() -> None:
    assert make().fingerprint() == make().fingerprint()
    assert make().fingerprint() != make(is_target=True).fingerprint()


def test_one_text_for_many_and_half_characters_are_refused(tokenizer: FairseqTokenizer) -> None:
    with pytest.raises(DataError, match="texts is one text, 'low'"):
        tokenizer.ids("low")
    with pytest.raises(DataError, match=r"text 1 has a lone surrogate, U\+D800, at character 1"):
        tokenizer.ids(["low", "l\ud800"])


def test_a_vocabulary_without_the_special_tokens_is_refused() -> None:
    lacking = {"<s>": 0, "</s>": 1, "a": 2}
    with pytest.raises(TokenizerError, match="lacks <pad>, <unk>, which every such vocabulary has"):
        FairseqTokenizer(lacking, [], language="en", lowercase=False, files=SAVED, is_target=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose sides differ in their vocabularies and languages."""
    turned = {piece: len(VOCABULARY) - 1 - i for piece, i in VOCABULARY.items()}
    (tmp_path / "vocab-src.json").write_text(json.dumps(VOCABULARY))
    (tmp_path / "vocab-tgt.json").write_text(json.dumps(turned))
    lines = [f"{a} {b} {100 - i}" for i, (a, b) in enumerate(MERGES)]
    (tmp_path / "merges.txt").write_text("\n".join([*lines, ""]))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"langs": ["en", "de"]}))
    return tmp_path


def test_each_side_is_read_from_its_own_file(folder: Path) -> None:
    assert reads_fairseq(folder)
    source, target = (read_fairseq(folder, is_target=is_target) for is_target in (False, True))
    assert source.tokens("lower").ids == [VOCABULARY["low"], VOCABULARY["er</w>"]]
    assert target.tokens("lower").pieces == ["low", "er</w>"]
    last = len(VOCABULARY) - 1
    assert target.tokens("lower").ids == [last - VOCABULARY["low"], last - VOCABULARY["er</w>"]]
    assert (source.is_target, target.is_target) == (False, True)


def test_a_newer_file_is_read_before_those_of_fairseq(folder: Path) -> None:
    assert isinstance(load_tokenizer(folder), FairseqTokenizer)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        load_tokenizer(folder)


def test_the_languages_may_stand_in_config_json(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    (folder / "config.json").write_text(json.dumps({"langs": ["en", "de"]}))
    own = read_fairseq(folder, is_target=False)
    # They are kept with the tokenizer's own files, so that it is read again without config.json.
    assert json.loads(own.files["tokenizer_config.json"])["langs"] == ["en", "de"]


@pytest.mark.parametrize("languages", [None, "en", ["en"], ["en", "de", "fr"]])
def test_languages_that_are_not_two_are_refused(folder: Path, languages: object) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"langs": languages}))
    with pytest.raises(TokenizerError, match="langs is .*; it has to name two languages"):
        read_fairseq(folder, is_target=False)


@pytest.mark.parametrize("name", ["vocab-src.json", "vocab-tgt.json", "merges.txt"])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(TokenizerError, match=f"lacks {name}; an FSMT model's tokenizer is"):
        read_fairseq(folder, is_target=False)
