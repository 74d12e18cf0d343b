"""M2M-100's tokenizer: ids equal to the reference library's, languages and all."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from parity.test_marian_tokenizer import ENGLISH, FRENCH, ODD, learn, pieces_of

from zhixing.checkpoints.pretrained import load_pretrained
from zhixing.errors import DataError, TokenizerError
from zhixing.tasks.translation.result import TranslateOptions
from zhixing.tasks.translation.translator import Translator
from zhixing.tokenization.files import load_tokenizer, save_tokenizer

TEXTS = [*ENGLISH, *FRENCH, *ODD, "__fr__ Bonjour", "__xx__ no language", "a __de__ b"]


def write(folder: Path, config: dict[str, object], *, lists_languages: bool = False) -> Path:
    """Write what a published folder holds."""
    folder.mkdir()
    model = learn([*ENGLISH, *FRENCH] * 20, 120)
    # The vocabulary is that of fairseq: its own first entries, and not every piece of the model.
    pieces = [piece for piece in pieces_of(model)[3:] if piece not in ("▁fox", "ch")]
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *pieces]
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    (folder / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(vocabulary)}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "M2M100Tokenizer", **config})
    )
    if lists_languages:
        reference = transformers.M2M100Tokenizer.from_pretrained(folder)
        told = {"additional_special_tokens": list(reference.lang_token_to_id)}
        (folder / "special_tokens_map.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize(
    ("config", "lists"),
    [
        ({}, False),
        ({}, True),
        ({"src_lang": "fr"}, False),
        ({"language_codes": "wmt21", "src_lang": "de"}, False),
    ],
)
def test_ids_and_texts_are_the_references(
    config: dict[str, object], lists: bool, tmp_path: Path
) -> None:
    folder = write(tmp_path / "model", config, lists_languages=lists)
    reference = transformers.M2M100Tokenizer.from_pretrained(folder)
    own = load_tokenizer(folder)
    known = set(own.languages)
    for text in TEXTS:
        if not lists and any(code in text for code in known):
            # The reference knows a spelled language only where the folder lists them.
            continue
        expected = reference(text)["input_ids"]
        assert own.wrap(own.ids([text])[0]).input_ids == expected, text
        assert own.wrap(own.tokens(text).ids).input_ids == expected, text
        if not any(code in text for code in known):
            # The reference also leaves the first language in, unless the folder lists them.
            inside = expected[1:]
            assert own.decode(inside) == reference.decode(inside, skip_special_tokens=True)
        assert not any(code in own.decode(expected) for code in known)
    assert own.id_of("__en__") == reference.get_lang_id("en")
    assert own.num_special(pair=False) == 2


def test_it_is_saved_as_it_was(tmp_path: Path) -> None:
    own = load_tokenizer(write(tmp_path / "model", {"src_lang": "fr"}))
    save_tokenizer(own, tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    assert again.fingerprint() == own.fingerprint()
    assert again.ids(TEXTS) == own.ids(TEXTS)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"src_lang": "xx"}, "says that __xx__ is read, which is none of"),
        ({"language_codes": "new"}, "language_codes is 'new'; allowed are m2m100, wmt21"),
    ],
)
def test_an_unknown_language_is_refused(
    config: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "model", {})
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(TokenizerError, match=message):
        load_tokenizer(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with the published folder's files."""
    folder = write(tmp_path_factory.mktemp("m2m") / "model", {}, lists_languages=True)
    tokenizer = transformers.M2M100Tokenizer.from_pretrained(folder)
    size = len(tokenizer.encoder) + len(tokenizer.lang_token_to_id) + 8
    config = transformers.M2M100Config(
        vocab_size=size,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=64,
        max_length=20,
        decoder_start_token_id=2,
        pad_token_id=1,
        eos_token_id=2,
        bos_token_id=0,
    )
    reference = transformers.M2M100ForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if "embed_positions" not in name:
                parameter.normal_(std=0.5, generator=generator)
    reference.generation_config.update(max_length=20, num_beams=2, suppress_tokens=[1])
    reference.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("source", "target"), [("en", "fr"), ("de", "en")])
def test_a_model_reads_and_writes_the_languages_it_is_told(
    source: str, target: str, model: Path
) -> None:
    reference = transformers.M2M100ForConditionalGeneration.from_pretrained(model).eval()
    tokenizer = transformers.M2M100Tokenizer.from_pretrained(model, src_lang=source)
    translator = Translator(load_pretrained(model))
    options = TranslateOptions(source_language=source, target_code=target, splits=False)
    sources = translator.prepare([ENGLISH[0]], options)
    assert sources.code == []
    window = sources.task.window(sources.ids[0])
    inputs = tokenizer(ENGLISH[0], return_tensors="pt")
    assert window.input_ids.tolist() == inputs["input_ids"][0].tolist()
    expected = reference.generate(**inputs, forced_bos_token_id=tokenizer.get_lang_id(target))
    text = tokenizer.decode(expected[0], skip_special_tokens=True)
    found = translator(ENGLISH[0], options=options)
    assert "redone" in found.flags or found.text == text


def test_a_model_of_many_languages_has_to_be_told_one(model: Path) -> None:
    translator = Translator(load_pretrained(model))
    with pytest.raises(DataError, match=r"writes several languages \(__af__.* give one"):
        translator(ENGLISH[0])
    with pytest.raises(DataError, match="target_code is 'xx', which the model's vocabulary lacks"):
        translator(ENGLISH[0], options=TranslateOptions(target_code="xx"))
    with pytest.raises(DataError, match="source_language is 'xx', which the model's vocabulary"):
        translator(ENGLISH[0], options=TranslateOptions(source_language="xx", target_code="fr"))
