import json
import random
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece

from zhixing.errors import FileError, TokenizerError
from zhixing.tokenization.files import load_tokenizer, save_tokenizer
from zhixing.tokenization.settings import SpecialTokens
from zhixing.tokenization.tokenizer import Tokenizer

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s", "café", "cafe"]
BERT = SpecialTokens(
    unknown="[UNK]", separator="[SEP]", padding="[PAD]", classify="[CLS]", mask="[MASK]"
)


def word_pieces(*, lowercase: bool = True) -> tokenizers.Tokenizer:
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    backend = tokenizers.Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.add_special_tokens(PIECES[:5])
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return backend


def write(folder: Path, backend: tokenizers.Tokenizer | None = None, **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    if backend is not None:
        backend.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_tokenizer_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    tokenizer = Tokenizer(word_pieces(), BERT, max_length=128)
    save_tokenizer(tokenizer, tmp_path / "new" / "folder")
    again = load_tokenizer(tmp_path / "new" / "folder")
    texts = ["The cats", "[MASK] café", ""]
    assert again.ids(texts) == tokenizer.ids(texts)
    assert again.fingerprint() == tokenizer.fingerprint()
    assert again.special == BERT
    assert again.max_length == 128
    assert again.wrap([5], [6]) == tokenizer.wrap([5], [6])


def test_saving_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    save_tokenizer(Tokenizer(word_pieces(), BERT), tmp_path / "a")
    save_tokenizer(load_tokenizer(tmp_path / "a"), tmp_path / "b")
    names = ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_configuration_names_roles_inputs_and_length(tmp_path: Path) -> None:
    save_tokenizer(Tokenizer(word_pieces(), BERT, max_length=128), tmp_path, max_length=64)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["model_max_length"] == 64
    assert config["cls_token"] == "[CLS]"
    assert config["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
    roles = json.loads((tmp_path / "special_tokens_map.json").read_text())
    assert roles == BERT.to_hugging_face()


def test_a_tokenizer_without_types_does_not_ask_other_programs_for_them(tmp_path: Path) -> None:
    backend = word_pieces()
    backend.post_processor = processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    save_tokenizer(Tokenizer(backend, BERT), tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["model_input_names"] == ["input_ids", "attention_mask"]
    assert "model_max_length" not in config


def test_stored_truncation_and_padding_are_neither_obeyed_nor_saved(tmp_path: Path) -> None:
    backend = word_pieces()
    backend.enable_truncation(3)
    backend.enable_padding(length=3)
    write(tmp_path / "old", backend)
    assert json.loads((tmp_path / "old" / "tokenizer.json").read_text())["truncation"]
    tokenizer = load_tokenizer(tmp_path / "old")
    assert [len(ids) for ids in tokenizer.ids(["the " * 50, "the"])] == [50, 1]
    save_tokenizer(tokenizer, tmp_path / "new")
    saved = json.loads((tmp_path / "new" / "tokenizer.json").read_text())
    assert saved["truncation"] is None
    assert saved["padding"] is None


def test_roles_are_guessed_where_no_file_names_them(tmp_path: Path) -> None:
    assert load_tokenizer(write(tmp_path, word_pieces())).special == BERT


def test_a_tokenizer_without_roles_comes_back_without(tmp_path: Path) -> None:
    tokenizer = Tokenizer(word_pieces())
    save_tokenizer(tokenizer, tmp_path)
    assert load_tokenizer(tmp_path).special == SpecialTokens()
    assert load_tokenizer(tmp_path).fingerprint() == tokenizer.fingerprint()


def test_named_roles_are_not_mixed_with_guesses(tmp_path: Path) -> None:
    folder = write(tmp_path, word_pieces(), tokenizer_config={"pad_token": "[PAD]"})
    assert load_tokenizer(folder).special == SpecialTokens(padding="[PAD]")


def test_a_role_outside_the_vocabulary_is_appended(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        word_pieces(),
        special_tokens_map={
            "cls_token": "[CLS]",
            "mask_token": {"content": "<m>", "lstrip": True},
            "bos_token": "<b>",
            "additional_special_tokens": ["<x>"],
        },
    )
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.start_id, tokenizer.mask_id, tokenizer.id_of("<x>")) == (10, 11, 12)
    assert tokenizer.tokens("the <m><x>").offsets == [(0, 3), (3, 7), (7, 10)]
    assert tokenizer.decode([5, 11, 6]) == "the cat"


def test_added_tokens_come_with_their_stated_ids(tmp_path: Path) -> None:
    added = {"11": {"content": "dog"}, "10": {"content": "<y>", "special": True}}
    folder = write(tmp_path, word_pieces(), tokenizer_config={"added_tokens_decoder": added})
    tokenizer = load_tokenizer(folder)
    assert tokenizer.tokens("the dog<y>").ids == [5, 11, 10]


def test_an_added_token_whose_id_contradicts_the_vocabulary_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, word_pieces(), added_tokens={"dog": 12})
    with pytest.raises(TokenizerError, match=r"'dog' has the id 12 in .* but 10 in the vocabulary"):
        load_tokenizer(folder)


def test_stated_switches_lie_over_a_tokenizer_file(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        word_pieces(),
        tokenizer_config={"tokenizer_class": "BertTokenizer", "strip_accents": False},
    )
    assert load_tokenizer(folder).tokens("CAFÉ").pieces == ["café"]


def test_a_folder_for_the_plain_class_takes_the_tokenizer_file_as_it_is(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        word_pieces(),
        tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False},
    )
    assert load_tokenizer(folder).tokens("CAT").pieces == ["cat"]


@pytest.mark.parametrize(
    ("stated", "pieces"), [({}, ["a"]), ({"add_prefix_space": True}, ["Ġ", "a"])]
)
def test_a_stated_space_is_put_first_in_a_byte_level_file(
    stated: dict[str, bool], pieces: list[str], tmp_path: Path
) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    folder = write(tmp_path, backend, tokenizer_config=stated)
    assert load_tokenizer(folder).tokens("a").pieces == pieces


def test_the_newest_kind_of_file_is_read_first(tmp_path: Path) -> None:
    folder = write(tmp_path, word_pieces(), vocab={"broken": "ids"})
    (folder / "vocab.txt").write_text("not\nwanted\n")
    assert load_tokenizer(folder).vocab_size == len(PIECES)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join([*PIECES, "dog"]), encoding="utf-8")
    assert load_tokenizer(folder).tokens("the DOG").ids == [5, 10]


def test_older_files_get_the_usual_roles_beside_the_stated_ones(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    write(tmp_path, tokenizer_config={"bos_token": "[CLS]", "max_len": 512})
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.special == SpecialTokens(start="[CLS]").or_else(BERT)
    assert tokenizer.max_length == 512
    assert tokenizer.tokens("the [MASK]").ids == [5, 4]


def test_a_mask_that_is_matched_takes_the_space_before_it_in_robertas_files(
    tmp_path: Path,
) -> None:
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<s>", "</s>", "<mask>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    (tmp_path / "merges.txt").write_text("")
    tokenizer = load_tokenizer(write(tmp_path, vocab=vocabulary))
    assert tokenizer.tokens("a <mask> b").pieces == ["a", "<mask>", "Ġ", "b"]


def test_scores_of_a_unigram_model_come_back_bit_for_bit(tmp_path: Path) -> None:
    draw = random.Random(0)
    scores = [-draw.uniform(1, 20) for _ in range(300)]
    single = [struct.unpack("f", struct.pack("f", score))[0] for score in scores]
    vocabulary = [("<unk>", 0.0), *((f"p{i}", score) for i, score in enumerate(single))]
    tokenizer = Tokenizer(tokenizers.Tokenizer(Unigram(vocabulary, unk_id=0)))
    naive = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    save_tokenizer(tokenizer, tmp_path)
    again = load_tokenizer(tmp_path)
    assert scores_of(again.to_json()) == scores_of(tokenizer.to_json())
    assert scores_of(naive.to_str()) != scores_of(tokenizer.to_json())
    assert again.fingerprint() == tokenizer.fingerprint() == Tokenizer(naive).fingerprint()


def scores_of(content: str) -> list[float]:
    return [score for _, score in json.loads(content)["model"]["vocab"]]


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tokenizer(Tokenizer(word_pieces(), BERT), tmp_path)
    before = (tmp_path / "tokenizer.json").read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FileError, match=r"cannot be written \(No space left on device\)"):
        save_tokenizer(Tokenizer(word_pieces(lowercase=False), BERT), tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(FileError, match=re.escape(f"{tmp_path / 'taken'} cannot be written")):
        save_tokenizer(Tokenizer(word_pieces(), BERT), tmp_path / "taken")


def test_a_folder_without_a_tokenizer_is_told_what_was_looked_for(tmp_path: Path) -> None:
    wanted = "none of tokenizer.json, vocab.txt, vocab.json with merges.txt, or *.model;"
    with pytest.raises(TokenizerError, match=re.escape(f"{tmp_path} has no tokenizer: {wanted}")):
        load_tokenizer(tmp_path)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=re.escape(f"{tmp_path / 'no'} is no folder; give")):
        load_tokenizer(tmp_path / "no")


@pytest.mark.parametrize(
    ("there", "absent"), [("vocab.json", "merges.txt"), ("merges.txt", "vocab.json")]
)
def test_half_of_a_pair_of_files_is_refused(there: str, absent: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("{}")
    (tmp_path / "spiece.model").write_bytes(b"")
    with pytest.raises(TokenizerError, match=f"{there} is there without {absent}, and neither"):
        load_tokenizer(tmp_path)


def test_several_models_are_refused_with_their_names(tmp_path: Path) -> None:
    for name in ("b.model", "a.model"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(TokenizerError, match=r"several sentencepiece models, a\.model, b\.model;"):
        load_tokenizer(tmp_path)


def test_a_model_of_the_usual_name_is_read_among_others(tmp_path: Path) -> None:
    for name in ("a.model", "spiece.model"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(TokenizerError, match=r"spiece\.model is a sentencepiece model without"):
        load_tokenizer(tmp_path)


def test_a_damaged_tokenizer_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, word_pieces()) / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8")[:200], encoding="utf-8")
    with pytest.raises(TokenizerError, match=re.escape(f"{path} is damaged: line ")):
        load_tokenizer(tmp_path)


def test_json_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    write(tmp_path, tokenizer={"version": "1.0", "model": {"type": "Other"}})
    with pytest.raises(TokenizerError, match="is JSON, but no tokenizer .*; fetch it again"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes(b'{"version": "\xff"}')
    with pytest.raises(TokenizerError, match="is not UTF-8: byte 0xff at position 13;"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(FileError, match=r"tokenizer\.json cannot be read \(Is a directory\)"):
        load_tokenizer(tmp_path)


def test_matching_flags_survive_saving(tmp_path: Path) -> None:
    backend = word_pieces()
    backend.add_tokens([AddedToken("dog", single_word=True, normalized=False)])
    save_tokenizer(Tokenizer(backend, BERT), tmp_path)
    assert load_tokenizer(tmp_path).tokens("dog dogs").pieces == ["dog", "[UNK]"]
