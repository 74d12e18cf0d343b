"""FSMT's tokenizer: ids and texts equal to the reference library's."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from parity.test_marian_tokenizer import ENGLISH, FRENCH, ODD

from zhixing.checkpoints.pretrained import load_pretrained
from zhixing.errors import TokenizerError
from zhixing.tasks.translation.result import TranslateOptions
from zhixing.tasks.translation.translator import Translator
from zhixing.tokenization.files import load_target_tokenizer, load_tokenizer, save_tokenizer

TEXTS = [
    *ENGLISH,
    *FRENCH,
    *ODD,
    "It's 5 o'clock - isn't it? (Yes & no.) <b>bold</b> [x] | \"quoted\"",
    "well-known e-mail@example.org, 1,000.50 %",
    "他说：“你好，世界！”（真的）。 １２３…",
    "soft\u00adhyphen and\u200bzero width",
]
MERGES = [
    *("t h", "th e</w>", "o w", "i n", "e r</w>", "o n</w>", "q u", "r e", "b r", "br ow"),
    *(
        "' s</w>",
        "o v",
        "l a",
        "d o",
        "do g</w>",
        "i s</w>",
        "a n",
        "an d</w>",
        "e r",
        "brow n</w>",
    ),
]


def write(folder: Path, config: dict[str, object]) -> Path:
    """Write what a published folder holds: not every piece is in the vocabularies."""
    folder.mkdir()
    characters = sorted({c for text in TEXTS for c in text if not c.isspace()})
    pieces = [*characters, *(f"{c}</w>" for c in characters if c not in "zé")]
    pieces += [merge.replace(" ", "") for merge in MERGES]
    for name, own in (("src", pieces), ("tgt", pieces[::-1])):
        vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *dict.fromkeys(own)]
        content = json.dumps({piece: i for i, piece in enumerate(vocabulary)})
        (folder / f"vocab-{name}.json").write_text(content)
    lines = [f"{merge} {100 - i}" for i, merge in enumerate(MERGES)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "FSMTTokenizer", **config})
    )
    return folder


@pytest.mark.parametrize(
    "config", [{"langs": ["en", "de"]}, {"langs": ["de", "en"], "do_lower_case": True}]
)
def test_ids_and_texts_are_the_references(config: dict[str, object], tmp_path: Path) -> None:
    folder = write(tmp_path / "model", config)
    reference = transformers.FSMTTokenizer.from_pretrained(folder)
    own, target = load_tokenizer(folder), load_target_tokenizer(folder)
    assert target is not None
    for text in TEXTS:
        expected = reference(text)["input_ids"]
        assert own.wrap(own.ids([text])[0]).input_ids == expected, text
        tokens = own.tokens(text)
        assert own.wrap(tokens.ids).input_ids == expected, text
        assert all(0 <= a <= b <= len(text) for a, b in tokens.offsets)
        written = target.ids([text])[0]
        assert target.decode(written) == reference.decode(written, skip_special_tokens=True), text


def test_tokens_know_their_places(tmp_path: Path) -> None:
    own = load_tokenizer(write(tmp_path / "model", {"langs": ["en", "de"]}))
    text = "The dog's & the brown"
    places = own.tokens(text)
    spelled = [text[a:b] for a, b in places.offsets]
    assert "".join(spelled) == text.replace(" ", "")
    assert "dog" in spelled and "brown" in spelled


def test_it_is_saved_as_it_was(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {})
    (folder / "config.json").write_text(json.dumps({"langs": ["en", "fr"]}))
    own = load_tokenizer(folder)
    save_tokenizer(own, tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    assert again.ids(TEXTS) == own.ids(TEXTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("merges.txt", r"lacks merges\.txt; an FSMT model's tokenizer is"),
        ("langs", "langs is None; it has to name two languages"),
        ("vocabulary", "lacks <s>, <pad>, </s>, <unk>"),
    ],
)
def test_what_is_missing_is_named(change: str, message: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {} if change == "langs" else {"langs": ["en", "de"]})
    if change == "merges.txt":
        (folder / change).unlink()
    if change == "vocabulary":
        (folder / "vocab-src.json").write_text('{"a": 0}')
    with pytest.raises(TokenizerError, match=message):
        load_tokenizer(folder)


def test_a_published_kind_of_folder_translates_as_the_reference(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {"langs": ["en", "de"]})
    tokenizer = transformers.FSMTTokenizer.from_pretrained(folder)
    config = transformers.FSMTConfig(
        langs=["en", "de"],
        src_vocab_size=tokenizer.src_vocab_size,
        tgt_vocab_size=tokenizer.tgt_vocab_size,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=64,
        tie_word_embeddings=False,
    )
    reference = transformers.FSMTForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if "embed_positions" not in name:
                parameter.normal_(std=0.3, generator=generator)
    reference.generation_config.update(max_length=24, num_beams=3, suppress_tokens=[1])
    reference.save_pretrained(folder)
    translator = Translator(load_pretrained(folder))
    for text in ENGLISH:
        inputs = tokenizer(text, return_tensors="pt")
        expected = reference.generate(**inputs)
        found = translator(text, options=TranslateOptions(splits=False))
        wanted = tokenizer.decode(expected[0], skip_special_tokens=True)
        assert "redone" in found.flags or found.text == wanted
