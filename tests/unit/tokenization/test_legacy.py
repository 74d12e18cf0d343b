import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import pre_tokenizers

from zhixing.errors import TokenizerError
from zhixing.tokenization.legacy import read_byte_pairs, read_word_pieces
from zhixing.tokenization.settings import Settings, SpecialTokens, from_hugging_face

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cafe", "café", "Cafe", "中", "文", "##文"]


def settings(**values: Any) -> Settings:
    return Settings(values, from_hugging_face(values, where="test"), {}, {})


def word_pieces(folder: Path, pieces: list[str], end: str = "\n", **values: Any) -> Backend:
    path = folder / "vocab.txt"
    path.write_bytes("".join(piece + end for piece in pieces).encode())
    return read_word_pieces(path, settings(**values))


def pieces_of(backend: Backend, text: str) -> list[str]:
    pieces: list[str] = backend.encode(text, add_special_tokens=False).tokens
    return pieces


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_numbers_are_ids_whatever_ends_the_lines(end: str, tmp_path: Path) -> None:
    backend = word_pieces(tmp_path, PIECES, end)
    assert [backend.token_to_id(piece) for piece in PIECES] == list(range(len(PIECES)))


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES), encoding="utf-8")
    assert read_word_pieces(path, settings()).get_vocab_size() == len(PIECES)


def test_odd_separators_are_pieces_and_do_not_end_lines(tmp_path: Path) -> None:
    backend = word_pieces(tmp_path, [*PIECES, "\u2028", "\x85", "\x0b"])
    assert backend.token_to_id("\x0b") == len(PIECES) + 2


def test_a_text_is_lowercased_stripped_and_split_by_default(tmp_path: Path) -> None:
    assert pieces_of(word_pieces(tmp_path, PIECES), "CAFÉ 中文") == ["cafe", "中", "文"]


def test_options_change_what_is_read(tmp_path: Path) -> None:
    cased = word_pieces(tmp_path, PIECES, do_lower_case=False)
    assert pieces_of(cased, "Cafe") == ["Cafe"]
    assert pieces_of(cased, "café") == ["café"]
    accents = word_pieces(tmp_path, PIECES, strip_accents=False)
    assert pieces_of(accents, "Café") == ["café"]
    joined = word_pieces(tmp_path, PIECES, tokenize_chinese_chars=False)
    assert pieces_of(joined, "中文") == ["中", "##文"]


def test_a_word_of_a_hundred_characters_is_read_and_a_longer_one_unknown(tmp_path: Path) -> None:
    backend = word_pieces(tmp_path, [*PIECES, "x", "##x"])
    assert len(pieces_of(backend, "x" * 100)) == 100
    assert pieces_of(backend, "x" * 101) == ["[UNK]"]


def test_the_template_is_berts(tmp_path: Path) -> None:
    encoding = word_pieces(tmp_path, PIECES).encode("cafe", "中")
    assert encoding.tokens == ["[CLS]", "cafe", "[SEP]", "中", "[SEP]"]
    assert encoding.type_ids == [0, 0, 0, 1, 1]


def test_stated_roles_replace_the_usual_ones(tmp_path: Path) -> None:
    pieces = ["<u>", "<c>", "<s>", "the"]
    backend = word_pieces(tmp_path, pieces, unk_token="<u>", cls_token="<c>", sep_token="<s>")
    assert backend.encode("the dog").tokens == ["<c>", "the", "<u>", "<s>"]


def test_a_piece_in_two_lines_is_refused_with_both(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"vocab\.txt has 'cafe' in lines 6 and 12, but"):
        word_pieces(tmp_path, [*PIECES, "cafe"])


def test_an_empty_line_is_refused_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"is empty in line 12, so that id 11 has no piece"):
        word_pieces(tmp_path, [*PIECES, "", "x"])


def test_a_vocabulary_without_its_special_tokens_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"has no line \[UNK\] and no line \[SEP\], which"):
        word_pieces(tmp_path, ["[CLS]", "a"])


def test_a_stated_role_that_no_line_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match="has no line <c>, which BERT's template needs"):
        word_pieces(tmp_path, PIECES, cls_token="<c>")


def test_a_vocabulary_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("[UNK]\nné\n".encode("latin-1"))
    with pytest.raises(TokenizerError, match="is not UTF-8: byte 0xe9 at position 7;"):
        read_word_pieces(path, settings())


MERGES = ["h e", "Ġ he", "l o"]


def byte_vocabulary(*more: str) -> dict[str, int]:
    pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces += [merge.replace(" ", "") for merge in MERGES]
    return {piece: number for number, piece in enumerate([*pieces, *more])}


def byte_pairs(
    folder: Path, vocabulary: dict[str, Any], merges: list[str], **values: Any
) -> Backend:
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    return read_byte_pairs(folder / "vocab.json", folder / "merges.txt", settings(**values))


@pytest.mark.parametrize("first", [[], ["#version: 0.2"]])
def test_merges_are_read_with_and_without_a_version(first: list[str], tmp_path: Path) -> None:
    backend = byte_pairs(tmp_path, byte_vocabulary(), first + MERGES)
    assert pieces_of(backend, "he he lo") == ["he", "Ġhe", "Ġ", "lo"]


def test_a_merge_of_number_signs_is_no_version(tmp_path: Path) -> None:
    backend = byte_pairs(tmp_path, byte_vocabulary("##"), ["# #"])
    assert pieces_of(backend, "##") == ["##"]


def test_any_text_is_spelled_and_given_back(tmp_path: Path) -> None:
    backend = byte_pairs(tmp_path, byte_vocabulary(), MERGES)
    text = "中 \x00\n é😀  he"
    assert backend.decode(backend.encode(text).ids) == text


def test_a_space_is_put_first_where_the_files_ask_for_it(tmp_path: Path) -> None:
    backend = byte_pairs(tmp_path, byte_vocabulary(), MERGES, add_prefix_space=True)
    assert pieces_of(backend, "he") == ["Ġhe"]


def test_gpt2_has_no_template_unless_the_files_ask_for_one(tmp_path: Path) -> None:
    vocabulary = byte_vocabulary("<|endoftext|>")
    plain = byte_pairs(tmp_path, vocabulary, MERGES)
    assert plain.encode("he", "lo").tokens == ["he", "lo"]
    both = byte_pairs(tmp_path, vocabulary, MERGES, add_bos_token=True, add_eos_token=True)
    mark = "<|endoftext|>"
    assert both.encode("he").tokens == [mark, "he", mark]
    assert both.encode("he", "lo").tokens == [mark, "he", mark, mark, "lo", mark]
    assert both.encode("he", "lo").type_ids == [0, 0, 0, 1, 1, 1]


def test_a_vocabulary_with_robertas_tokens_has_robertas_template(tmp_path: Path) -> None:
    vocabulary = byte_vocabulary("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    backend = byte_pairs(tmp_path, vocabulary, MERGES)
    assert backend.encode("he", "lo").tokens == ["<s>", "he", "</s>", "</s>", "lo", "</s>"]


def test_an_id_that_is_missing_is_named(tmp_path: Path) -> None:
    vocabulary = byte_vocabulary() | {"last": 400}
    with pytest.raises(TokenizerError, match="no piece with id 259, though its ids go up to 400"):
        byte_pairs(tmp_path, vocabulary, MERGES)


def test_an_id_of_two_pieces_is_named_with_both(tmp_path: Path) -> None:
    vocabulary = byte_vocabulary() | {"again": 258}
    with pytest.raises(TokenizerError, match=r"gives the id 258 to \['lo', 'again'\], but"):
        byte_pairs(tmp_path, vocabulary, MERGES)


@pytest.mark.parametrize("token_id", ["259", 2.5, -1, None])
def test_an_id_that_is_no_number_is_named(token_id: Any, tmp_path: Path) -> None:
    message = re.escape(f"gives 'odd' the id {token_id!r}; ids are whole numbers")
    with pytest.raises(TokenizerError, match=message):
        byte_pairs(tmp_path, byte_vocabulary() | {"odd": token_id}, MERGES)


@pytest.mark.parametrize(("merge", "absent"), [("he llo", "llo"), ("xyz h", "xyz"), ("h h", "hh")])
def test_a_merge_of_absent_pieces_is_refused_with_its_line(
    merge: str, absent: str, tmp_path: Path
) -> None:
    with pytest.raises(TokenizerError, match=f"in line 4, but the vocabulary has no {absent!r};"):
        byte_pairs(tmp_path, byte_vocabulary(), [*MERGES, merge])


@pytest.mark.parametrize("line", ["alone", "one two three"])
def test_a_merge_that_is_no_pair_is_refused_with_its_line(line: str, tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=f"has {line!r} in line 2, which is not two pieces"):
        byte_pairs(tmp_path, byte_vocabulary(), ["h e", line])


def test_roles_that_are_stated_but_absent_leave_the_template_empty(tmp_path: Path) -> None:
    backend = byte_pairs(tmp_path, byte_vocabulary(), MERGES, cls_token="<c>", sep_token="<p>")
    assert backend.encode("he").tokens == ["he"]
    assert settings(cls_token="<c>").special == SpecialTokens(classify="<c>")
