"""Marian's tokenizers: ids equal to the reference library's, on texts of many kinds."""

import io
import json
import random
import warnings
from itertools import pairwise
from pathlib import Path

import pytest
import sentencepiece
from sacremoses import MosesPunctNormalizer
from transformers import MarianTokenizer

from zhixing.errors import TokenizerError
from zhixing.tasks.translation.normalization import normalized_punctuation
from zhixing.tokenization.files import load_target_tokenizer, load_tokenizer, save_tokenizer

ENGLISH = ["The quick brown fox jumps over the lazy dog", "It isn't what it was, is it?"]
FRENCH = ["Le renard brun saute par-dessus le chien", "Ce n'est plus ce que c'était, hein ?"]
ODD = [
    "",
    " ",
    "  two  spaces ",
    "naïve café — “quotes” … 100 %",
    "知行合一 and 日本語",
    "Ünïcödé é é ﬁ ½",
    "emoji 😅👍🏽",
    "line\nbreak\tand tab",
    ">>fra<< The quick brown fox",
    ">>xxx<< an unknown code",
    ">> not a code",
    "a << b >> c",
    "</s> is special, <unk> too, <pad> also",
    "▁ the mark itself",
    "zero\u200bwidth",
    "www.example.org/path?x=1&y=2",
]


def learn(texts: list[str], size: int) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=size,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def pieces_of(model: bytes) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


@pytest.fixture(scope="module", params=["shared", "separate"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a Marian folder whose vocabulary, as published ones, lacks some pieces."""
    place = tmp_path_factory.mktemp("marian")
    source, target = learn(ENGLISH * 30, 90), learn(FRENCH * 30, 90)
    (place / "source.spm").write_bytes(source)
    (place / "target.spm").write_bytes(target)
    special = {"<unk>", "<s>", "</s>"}
    sides = [[p for p in pieces_of(model) if p not in special][::-1] for model in (source, target)]
    lost = {sides[0][3], sides[0][-5], sides[1][7]}
    if request.param == "shared":
        joint = [p for p in dict.fromkeys([*sides[0], *sides[1]]) if p not in lost]
        vocabularies = [["</s>", "<unk>", ">>fra<<", *joint, "<pad>"]]
    else:
        vocabularies = [
            ["</s>", "<unk>", *(p for p in side if p not in lost), "<pad>"] for side in sides
        ]
    for name, words in zip(("vocab.json", "target_vocab.json"), vocabularies, strict=False):
        (place / name).write_text(json.dumps({word: i for i, word in enumerate(words)}))
    config = {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": "en",
        "target_lang": "fr",
        "separate_vocabs": request.param == "separate",
    }
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    return place


def reference(folder: Path) -> MarianTokenizer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MarianTokenizer.from_pretrained(folder)


def texts() -> list[str]:
    draw = random.Random(0)
    words = " ".join([*ENGLISH, *FRENCH]).split()
    mixed = [" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(200)]
    letters = "".join([*ENGLISH, *FRENCH, *ODD[3:8]])
    return [*ODD, *mixed, *("".join(draw.choices(letters, k=20)) for _ in range(200))]


def test_ids_are_the_references(folder: Path) -> None:
    theirs, own = reference(folder), load_tokenizer(folder)
    for text in texts():
        expected = theirs(text)["input_ids"]
        assert own.wrap(own.ids([text])[0]).input_ids == expected, text
        assert own.tokens(text).ids == expected[:-1], text


def test_every_token_knows_its_place(folder: Path) -> None:
    own = load_tokenizer(folder)
    for text in texts():
        offsets = own.tokens(text).offsets
        assert all(0 <= a <= b <= len(text) for a, b in offsets)
        assert all(before[1] <= after[0] for before, after in pairwise(offsets))
        read = "".join(text[a:b] for a, b in offsets)
        unmarked = [part.replace("▁", "") for part in (read, text)]
        assert "".join(unmarked[0].split()) == "".join(unmarked[1].split())
    assert own.tokens(">>fra<< fox").offsets[0] == (0, 7)


def test_target_ids_are_the_references(folder: Path) -> None:
    theirs, own = reference(folder), load_target_tokenizer(folder)
    assert own is not None
    for text in texts():
        if "<pad>" in text and len(own.files) > 4:
            continue  # The reference gives the source's id for it.
        expected = theirs(text_target=text)["input_ids"]
        assert own.wrap(own.ids([text])[0]).input_ids == expected, text


def test_written_text_is_the_references(folder: Path) -> None:
    theirs, own = reference(folder), load_target_tokenizer(folder)
    assert own is not None
    draw = random.Random(1)
    # Where vocabularies are separate the reference takes the source's padding for the target's.
    known = [i for i in range(own.vocab_size) if i != own.padding_id]
    for _ in range(200):
        ids = draw.choices(known, k=9)
        assert own.decode(ids) == theirs.decode(ids, skip_special_tokens=True).strip()


def test_a_folder_saved_is_the_same_again(folder: Path, tmp_path: Path) -> None:
    own = load_tokenizer(folder)
    save_tokenizer(own, tmp_path)
    assert load_tokenizer(tmp_path).fingerprint() == own.fingerprint()
    expected = reference(folder)(ENGLISH[0])["input_ids"]
    assert reference(tmp_path)(ENGLISH[0])["input_ids"] == expected


@pytest.mark.parametrize("name", ["source.spm", "target.spm", "vocab.json"])
def test_a_missing_file_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    save_tokenizer(load_tokenizer(folder), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(TokenizerError, match=f"lacks {name}"):
        load_tokenizer(tmp_path)


def test_ids_after_moses_normalization_are_the_references(folder: Path) -> None:
    """Both apply the same rules when they are asked to, and neither does so unasked."""
    texts = ["“Quoted” – he said…", "It is 1 000 ％ « true »", "naïve ‘café’ — yes", "", "plain"]
    own, theirs = load_tokenizer(folder), MarianTokenizer.from_pretrained(folder)
    normal = normalized_punctuation(texts, "en")
    assert normal[:4] != texts[:4]
    for text, changed in zip(texts, normal, strict=True):
        assert changed == MosesPunctNormalizer("en").normalize(text)
        for one in (text, changed):
            assert own.ids([one])[0] == theirs(one, add_special_tokens=False).input_ids
