"""Pieces of a sentencepiece model under the ids of another vocabulary, both made by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import sentencepiece_model_pb2 as proto

from zhixing.errors import DataError, TokenizerError
from zhixing.tokenization.mapped import (
    MappedTokenizer,
    read_many_languages,
    read_mapped,
    reads_many_languages,
)

# The longer a piece, the likelier it is; the model knows "▁un", which the vocabulary does not.
PIECES = ["▁one", "▁two", "▁un", "▁", "é", "e", "o", "n", "t", "w"]
WORDS = ["</s>", "<unk>", ">>fra<<", "▁two", "▁one", "▁", "e", "n", "o", "t", "w", "é", "deux"]
VOCABULARY = {piece: i for i, piece in enumerate([*WORDS, "<pad>"])}
END, UNKNOWN, FRENCH = 0, 1, 2


def model_of(pieces: list[str]) -> bytes:
    """Write a model as sentencepiece itself does: three special pieces, then these."""
    model = proto.ModelProto()
    special = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
    for piece, kind in [*special, *((piece, 1) for piece in pieces)]:
        score = 0.0 if kind != 1 else float(len(piece) - 10)
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = 1
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.escape_whitespaces = True
    model.normalizer_spec.remove_extra_whitespaces = True
    content: bytes = model.SerializeToString()
    return content


MODEL = model_of(PIECES)


def make(vocabulary: dict[str, int] = VOCABULARY, **changes: Any) -> MappedTokenizer:
    return MappedTokenizer(MODEL, vocabulary, files={"a": b"1"}, name="source.spm", **changes)


@pytest.fixture(scope="module")
def tokenizer() -> MappedTokenizer:
    return make()


def test_pieces_come_from_the_model_and_ids_from_the_vocabulary(
    tokenizer: MappedTokenizer,
) -> None:
    found = tokenizer.tokens("one two")
    assert found.pieces == ["▁one", "▁two"]
    assert found.ids == [4, 3]
    assert tokenizer.ids(["one two", "two", ""]) == [[4, 3], [3], []]
    assert tokenizer.vocab_size == len(VOCABULARY)


def test_a_piece_that_only_the_model_knows_is_unknown(tokenizer: MappedTokenizer) -> None:
    found = tokenizer.tokens("un one")
    assert found.pieces == ["▁un", "▁one"]
    assert found.ids == [UNKNOWN, 4]


def test_a_stretch_that_only_the_vocabulary_knows_is_looked_up(tokenizer: MappedTokenizer) -> None:
    # The model has no letter d: it hands it on as it stands.
    assert tokenizer.tokens("one d").pieces == ["▁one", "▁", "d"]
    assert tokenizer.ids(["one d"])[0] == [4, 5, UNKNOWN]
    assert make({**VOCABULARY, "d": 14}).ids(["one d"])[0] == [4, 5, 14]


def test_a_code_at_the_very_beginning_is_one_token(tokenizer: MappedTokenizer) -> None:
    assert tokenizer.ids([">>fra<< one"])[0] == [FRENCH, 4]
    found = tokenizer.tokens(">>fra<<two one")
    assert found.ids == [FRENCH, 3, 4]
    assert found.offsets == [(0, 7), (7, 10), (10, 14)]
    assert tokenizer.ids([">>xxx<< one"])[0] == [UNKNOWN, 4]


def test_special_tokens_that_are_spelled_out_are_themselves(tokenizer: MappedTokenizer) -> None:
    text = "one</s> two<pad>"
    found = tokenizer.tokens(text)
    assert found.ids == [4, END, 3, VOCABULARY["<pad>"]]
    assert [text[a:b] for a, b in found.offsets] == ["one", "</s>", "two", "<pad>"]
    assert tokenizer.ids([text, "two"]) == [found.ids, [3]]


def test_places_are_counted_in_characters_not_in_bytes(tokenizer: MappedTokenizer) -> None:
    text = "éé one two"
    found = tokenizer.tokens(text)
    assert found.pieces == ["▁", "é", "é", "▁one", "▁two"]
    assert [text[a:b] for a, b in found.offsets[1:]] == ["é", "é", " one", " two"]
    assert found.offsets[-1] == (6, 10)


def test_the_end_stands_behind_one_text_or_two(tokenizer: MappedTokenizer) -> None:
    assert tokenizer.wrap([4, 3]).input_ids == [4, 3, END]
    assert tokenizer.wrap([4], [3]).input_ids == [4, 3, END]
    assert tokenizer.wrap([4]).token_type_ids == [0, 0]
    assert tokenizer.num_special(pair=False) == tokenizer.num_special(pair=True) == 1


def test_a_text_comes_back_without_marks_and_special_tokens(tokenizer: MappedTokenizer) -> None:
    assert tokenizer.decode([4, 3, END, 13, 99]) == "one two"
    assert tokenizer.decode([4, END], keep_special=True) == "one</s>"
    assert tokenizer.decode([3, 12, 4]) == "twodeux one"
    assert tokenizer.decode([]) == ""


LANGUAGES = ("__en__", "__fr__")
MANY = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁one", "▁two", "n"])}


def test_every_text_begins_with_the_language_that_is_read() -> None:
    own = make(MANY, languages=LANGUAGES, reads="__fr__")
    # The languages stand behind the vocabulary, in their order.
    assert [own.id_of(text) for text in LANGUAGES] == [7, 8]
    assert own.wrap([4, 5]).input_ids == [8, 4, 5, 2]
    assert own.num_special(pair=False) == 2
    assert own.decode([8, 4, 5, 2]) == "one two"
    assert own.decode([7, 4], keep_special=True) == "__en__ one"
    assert own.special.start == "<s>"


def test_a_language_that_is_spelled_out_is_one_token_and_a_code_is_none() -> None:
    own = make(MANY, languages=LANGUAGES, reads="__en__")
    assert own.ids(["__fr__ one"])[0] == [8, 4]
    found = own.tokens("one __fr__ two")
    assert found.ids == [4, 8, 5]
    assert found.offsets == [(0, 3), (4, 10), (11, 14)]
    # ">>fra<<" means nothing to such a model.
    assert own.ids([">>fra<< one"])[0] != make().ids([">>fra<< one"])[0]


def test_a_language_that_is_read_has_to_be_one_of_them() -> None:
    with pytest.raises(TokenizerError, match="says that __de__ is read, which is none of"):
        make(MANY, languages=LANGUAGES, reads="__de__")


@pytest.mark.parametrize(
    ("vocabulary", "missing"),
    [({"</s>": 0}, "<unk>"), ({"<unk>": 0}, "</s>"), ({"a": 0}, "</s> and <unk>")],
)
def test_a_vocabulary_without_end_or_unknown_is_refused(
    vocabulary: dict[str, int], missing: str
) -> None:
    with pytest.raises(TokenizerError, match=f"lacks {missing}, which every Marian vocabulary has"):
        make(vocabulary)


def test_a_damaged_model_is_refused_by_its_name() -> None:
    with pytest.raises(TokenizerError, match=r"source\.spm is damaged, or is no sentencepiece"):
        MappedTokenizer(b"none", VOCABULARY, files={}, name="source.spm")


def test_one_text_for_many_and_half_characters_are_refused(tokenizer: MappedTokenizer) -> None:
    with pytest.raises(DataError, match="texts is one text, 'one'"):
        tokenizer.ids("one")
    with pytest.raises(DataError, match=r"text 1 has a lone surrogate, U\+D800, at character 0"):
        tokenizer.ids(["one", "\ud800"])


def test_the_files_decide_about_the_fingerprint(tokenizer: MappedTokenizer) -> None:
    other = MappedTokenizer(MODEL, VOCABULARY, files={"a": b"2"}, name="source.spm")
    assert tokenizer.fingerprint() == make().fingerprint() != other.fingerprint()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Marian folder: the target's model parts nothing but letters."""
    (tmp_path / "source.spm").write_bytes(MODEL)
    (tmp_path / "target.spm").write_bytes(model_of(["▁", "o", "n", "e"]))
    (tmp_path / "vocab.json").write_text(json.dumps(VOCABULARY))
    return tmp_path


def test_each_side_has_its_model_and_both_one_vocabulary(folder: Path) -> None:
    assert read_mapped(folder, is_target=False).tokens("one").pieces == ["▁one"]
    target = read_mapped(folder, is_target=True).tokens("one")
    assert target.pieces == ["▁", "o", "n", "e"]
    assert target.ids == [5, 8, 7, 6]


def test_the_target_may_have_a_vocabulary_of_its_own(folder: Path) -> None:
    own = {piece: i for i, piece in enumerate(["</s>", "<unk>", "e", "n", "o", "▁"])}
    (folder / "target_vocab.json").write_text(json.dumps(own))
    assert read_mapped(folder, is_target=True).ids(["one"])[0] == [5, 4, 3, 2]
    assert read_mapped(folder, is_target=False).ids(["one"])[0] == [4]


@pytest.mark.parametrize("values", [{}, {"</s>": 0, "<unk>": -1}, {"</s>": 0, "<unk>": "1"}])
def test_ids_that_are_no_numbers_are_refused(folder: Path, values: dict[str, Any]) -> None:
    (folder / "vocab.json").write_text(json.dumps(values))
    with pytest.raises(TokenizerError, match=r"vocab\.json has to give each piece a number"):
        read_mapped(folder, is_target=False)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of M2M-100's kind."""
    (tmp_path / "sentencepiece.bpe.model").write_bytes(MODEL)
    (tmp_path / "vocab.json").write_text(json.dumps(MANY))
    return tmp_path


def test_the_published_languages_stand_behind_the_vocabulary(many: Path) -> None:
    assert reads_many_languages(many)
    own = read_many_languages(many)
    assert [own.id_of(f"__{code}__") for code in ("af", "am", "ar", "fr")] == [7, 8, 9, 31]
    # English is read where nothing else is said.
    assert own.wrap([4]).input_ids == [own.id_of("__en__"), 4, 2]


def test_the_published_languages_are_a_hundred_with_zulu_the_last(many: Path) -> None:
    own = read_many_languages(many)
    assert [own.id_of(f"__{code}__") for code in ("sq", "sr", "ss", "zu")] == [86, 87, 88, 106]
    assert len(own.languages) == 100


def test_a_folder_may_say_which_languages_there_are_and_which_is_read(many: Path) -> None:
    listed = {"additional_special_tokens": ["__fr__", "__en__", "<other>", 5]}
    (many / "special_tokens_map.json").write_text(json.dumps(listed))
    (many / "tokenizer_config.json").write_text(json.dumps({"src_lang": "fr"}))
    own = read_many_languages(many)
    assert own.languages == ("__fr__", "__en__")
    assert own.wrap([4]).input_ids == [7, 4, 2]


def test_language_codes_that_are_unknown_are_refused(many: Path) -> None:
    (many / "tokenizer_config.json").write_text(json.dumps({"language_codes": "wmt99"}))
    with pytest.raises(TokenizerError, match="language_codes is 'wmt99'; allowed are m2m100, wmt"):
        read_many_languages(many)
