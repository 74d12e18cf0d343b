import io
import re
import unicodedata
from typing import Any

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer as Backend

from zhixing.errors import TokenizerError
from zhixing.tokenization import sentencepiece_model
from zhixing.tokenization.sentencepiece_model import read_sentencepiece
from zhixing.tokenization.settings import Settings, SpecialTokens, from_hugging_face

TEXTS = [
    "The cat sat on the mat, and the dog sat on the cat.",
    "Le chat était sur le tapis où l’été dormait.",
    "Tiếng Việt được viết bằng chữ Quốc ngữ.",
    "나는 어제 서울에서 친구를 만났다.",
    "カタカナ ガギグゲゴ 大阪～東京",
    "שָׁלוֹם עֲלֵיכֶם وَرَحْمَةُ",
]


def learn(**options: Any) -> bytes:
    model = io.BytesIO()
    usual = {"model_type": "unigram", "vocab_size": 160, "character_coverage": 1.0}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 3),
        model_writer=model,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **{**usual, **options},
    )
    return model.getvalue()


def settings(**values: Any) -> Settings:
    return Settings(values, from_hugging_face(values, where="test"), {}, {})


def read(content: bytes, **values: Any) -> Backend:
    return read_sentencepiece(content, settings(**values), name="m.model")


def ids(backend: Backend, text: str) -> list[int]:
    found: list[int] = backend.encode(text, add_special_tokens=False).ids
    return found


def changed(content: bytes, change: Any) -> bytes:
    model = vars(sentencepiece_model_pb2)["ModelProto"].FromString(content)
    change(model)
    result: bytes = model.SerializeToString()
    return result


def test_ids_are_numbered_as_fairseq_does_it() -> None:
    content = learn()
    backend = read(content)
    original = sentencepiece.SentencePieceProcessor(model_proto=content)
    assert [backend.token_to_id(piece) for piece in ("<s>", "<pad>", "</s>", "<unk>")] == [
        *range(4)
    ]
    assert backend.token_to_id("<mask>") == original.vocab_size() + 1
    for text in TEXTS:
        assert ids(backend, text) == [token_id + 1 for token_id in original.encode(text)]
    assert ids(backend, "☃") == [backend.token_to_id("▁"), 3]


def test_the_fairseq_template_is_xlm_rs() -> None:
    encoding = read(learn()).encode("the", "cat")
    assert encoding.ids[0] == 0
    assert [token for token in encoding.tokens if token.endswith("s>")] == ["<s>", *["</s>"] * 3]
    assert set(encoding.type_ids) == {0}


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_a_model_with_padding_keeps_its_own_ids_and_ends_its_texts(kind: str) -> None:
    content = learn(model_type=kind, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, vocab_size=220)
    backend = read(content)
    original = sentencepiece.SentencePieceProcessor(model_proto=content)
    for text in [*TEXTS, "unseen: ☃☃ ok"]:
        assert ids(backend, text) == original.encode(text)
        assert backend.encode(text).ids == [*original.encode(text), 1]
    assert backend.token_to_id("<mask>") is None


def test_a_model_that_falls_back_to_bytes_keeps_its_ids_and_starts_its_texts() -> None:
    content = learn(
        model_type="bpe",
        byte_fallback=True,
        vocab_size=420,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
    )
    backend = read(content)
    original = sentencepiece.SentencePieceProcessor(model_proto=content)
    for text in [*TEXTS, "  two  spaces ☃\n\tend  "]:
        assert ids(backend, text) == original.encode(text)
        assert backend.decode(ids(backend, text)) == original.decode(original.encode(text))
    assert backend.encode("the").ids[0] == original.bos_id()
    ended = read(content, add_bos_token=False, add_eos_token=True).encode("the", "cat")
    assert ended.tokens[-1] == "</s>"
    assert ended.tokens.count("</s>") == 2
    assert "<s>" not in ended.tokens


def test_a_model_with_berts_tokens_has_berts_template() -> None:
    content = learn(
        pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols="[CLS],[SEP]", pad_piece="<pad>"
    )
    encoding = read(content).encode("the", "cat")
    assert encoding.tokens[0] == "[CLS]"
    assert encoding.tokens.count("[SEP]") == 2
    assert set(encoding.type_ids) == {0, 1}


def test_control_pieces_are_special_and_user_defined_ones_are_not() -> None:
    content = learn(pad_id=3, control_symbols="<c>", user_defined_symbols="<u>")
    backend = read(content)
    encoding = backend.encode("the<c><u>", add_special_tokens=False)
    assert encoding.tokens[-2:] == ["<c>", "<u>"]
    assert backend.decode(encoding.ids) == "the<u>"


def test_masks_of_t5_count_backwards_at_the_end() -> None:
    backend = read(learn(pad_id=0, eos_id=1, unk_id=2, bos_id=-1), extra_ids=3)
    size = backend.get_vocab_size()
    assert [backend.token_to_id(f"<extra_id_{i}>") for i in range(3)] == [
        size - 1,
        size - 2,
        size - 3,
    ]


@pytest.mark.parametrize("text", [*TEXTS, "ｶﾞｷﾞ ①\u0301 ㎞", "a～b", "ﬁne  spaced\u3000out "])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_decomposed_letters_are_composed_as_sentencepiece_does(text: str, form: Any) -> None:
    content = learn()
    backend = read(content)
    original = sentencepiece.SentencePieceProcessor(model_proto=content)
    text = unicodedata.normalize(form, text)
    assert backend.normalizer.normalize_str(text) == original.normalize(text)


def test_marks_that_never_compose_keep_their_order() -> None:
    backend = read(learn())
    for marks in ("\u0651\u064e", "\u064e\u0651"):
        assert marks in backend.normalizer.normalize_str(f"\u0645{marks}")
    for marks in ("\u05bc\u05b0", "\u05b0\u05bc"):
        assert marks in backend.normalizer.normalize_str(f"\u05d1{marks}")


def test_a_text_that_begins_with_a_mark_is_read() -> None:
    backend = read(learn())
    for text in ("\u0483a", "\u05b0\u05bc", "\n\u0651a", "\u0301"):
        assert backend.encode(text, add_special_tokens=False).offsets[-1][1] == len(text)


def test_the_composing_marks_are_those_of_unicode() -> None:
    marks = set()
    for code in range(0x110000):
        letter = chr(code)
        parts = unicodedata.decomposition(letter).split()
        if len(parts) == 2 and unicodedata.normalize("NFC", letter) == letter:
            marks.add(parts[1].lstrip("0"))
    marks = {mark for mark in marks if unicodedata.category(chr(int(mark, 16)))[0] == "M"}
    spelled = re.sub(r"\\x\{(\w+)\}", lambda m: chr(int(m[1], 16)), COMPOSING)
    listed = re.compile(f"[{spelled}]")
    missing = {mark for mark in marks if not listed.fullmatch(chr(int(mark, 16)))}
    # Python's own tables may be of a newer Unicode than the list, and only in rare scripts.
    assert all(int(mark, 16) > 0xFFFF for mark in missing)
    assert not listed.search("\u05b0\u05bc\u064e\u0651\u0483")


COMPOSING = sentencepiece_model._COMPOSING_MARKS


def test_offsets_count_the_characters_of_the_decomposed_text() -> None:
    text = "The e\u0301te\u0301 cat"
    encoding = read(learn()).encode(text, add_special_tokens=False)
    last = max(index for index, token in enumerate(encoding.tokens) if token.startswith("▁"))
    assert "".join(encoding.tokens[last:]) == "▁cat"
    assert text[encoding.offsets[last][0] : encoding.offsets[-1][1]].strip() == "cat"


def test_damaged_content_is_refused_by_name() -> None:
    with pytest.raises(TokenizerError, match=r"m\.model is damaged, or is no sentencepiece model"):
        read(learn()[:-7])


def test_a_model_without_pieces_is_refused() -> None:
    with pytest.raises(TokenizerError, match=r"m\.model is a sentencepiece model without pieces;"):
        read(b"")


def test_a_model_of_words_is_refused_with_its_kind() -> None:
    with pytest.raises(TokenizerError, match=r"model of kind 3; allowed are 1 \(unigram\) and 2"):
        read(learn(model_type="word"))


def test_a_model_without_a_map_is_read_as_it_stands() -> None:
    def bare(model: Any) -> None:
        model.normalizer_spec.precompiled_charsmap = b""
        model.normalizer_spec.name = "identity"
        model.normalizer_spec.add_dummy_prefix = False

    content = changed(learn(), bare)
    original = sentencepiece.SentencePieceProcessor(model_proto=content)
    backend = read(content)
    for text in TEXTS:
        assert ids(backend, text) == [token_id + 1 for token_id in original.encode(text)]


def test_roles_of_the_settings_are_left_to_the_caller() -> None:
    assert settings(mask_token="<m>").special == SpecialTokens(mask="<m>")
