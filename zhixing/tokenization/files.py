"""Load a tokenizer from a model's folder, and save it: tokenizer.json and the older files."""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, normalizers, pre_tokenizers

from zhixing.errors import FileError, TokenizerError
from zhixing.tokenization.fairseq import FairseqTokenizer, read_fairseq, reads_fairseq
from zhixing.tokenization.legacy import read_byte_pairs, read_word_pieces
from zhixing.tokenization.mapped import (
    SOURCE_MODEL,
    TARGET_MODEL,
    MappedTokenizer,
    read_many_languages,
    read_mapped,
    reads_many_languages,
)
from zhixing.tokenization.sentencepiece_model import read_sentencepiece
from zhixing.tokenization.settings import (
    CONFIG_FILE,
    TOKENS_MAP_FILE,
    Settings,
    SpecialTokens,
    guess_special_tokens,
    read_bytes,
    read_object,
    read_settings,
    read_text,
)
from zhixing.tokenization.tokenizer import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
_WORDPIECE_FILE, _VOCAB_FILE, _MERGES_FILE = "vocab.txt", "vocab.json", "merges.txt"
_SENTENCEPIECE_FILES = ("sentencepiece.bpe.model", "spiece.model")
# The classes of the reference library that take a tokenizer.json as it is; all others lay the
# switches of tokenizer_config.json over it.
_VERBATIM_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
# Alone on its line: no text in a JSON file can look so.
_SCORE_LINE = re.compile(r"(?m)^(?P<sign> *-?)(?P<integer>\d+)\.(?P<decimals>\d+)$")


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load the tokenizer of a model's folder, from the newest kind of file that is there.

    A Marian folder, which has a `source.spm`, gives the tokenizer of what is read. Else in this
    order: `tokenizer.json`; FSMT's `vocab-src.json` with `merges.txt`; M2M-100's `vocab.json` with
    `sentencepiece.bpe.model`; `vocab.txt`; `vocab.json` with `merges.txt`;
    `sentencepiece.bpe.model`, `spiece.model`, or the only other `*.model`. Options and roles come
    from `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`; special tokens
    that the vocabulary lacks are added to it, as the reference library does.

    Truncation and padding stored in a `tokenizer.json` are not obeyed.

    Raises:
        FileError: A file cannot be read.
        TokenizerError: No tokenizer is there, or a file is damaged or contradicts another.
    """
    if not folder.is_dir():
        raise TokenizerError(f"{folder} is no folder; give the folder with the tokenizer's files")
    if (folder / SOURCE_MODEL).exists() or (folder / TARGET_MODEL).exists():
        return read_mapped(folder, is_target=False)
    path = folder / TOKENIZER_FILE
    is_new = path.exists()
    if not is_new and reads_fairseq(folder):
        return read_fairseq(folder, is_target=False)
    if not is_new and reads_many_languages(folder):
        return read_many_languages(folder)
    settings = read_settings(folder)
    if is_new:
        backend = _read_backend(path)
        _apply_switches(backend, settings)
    else:
        backend = _read_legacy(folder, settings)
    named = settings.special
    is_stated = named != SpecialTokens() or (folder / TOKENS_MAP_FILE).exists()
    if not (is_stated and is_new):
        named = named.or_else(
            guess_special_tokens(lambda text: backend.token_to_id(text) is not None)
        )
    _add_tokens(backend, named, settings, folder)
    return Tokenizer(backend, named, max_length=settings.max_length)


def load_target_tokenizer(folder: Path) -> Tokenizer | None:
    """Load the target tokenizer, where a folder has one for the target side; else None.

    Raises:
        FileError: A file cannot be read.
        TokenizerError: A file is damaged or missing.
    """
    is_new = (folder / TOKENIZER_FILE).exists()
    if not is_new and reads_fairseq(folder):
        return read_fairseq(folder, is_target=True)
    has_two = (folder / SOURCE_MODEL).exists() or (folder / TARGET_MODEL).exists()
    return read_mapped(folder, is_target=True) if has_two else None


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, max_length: int | None = None) -> None:
    """Save a tokenizer as `tokenizer.json`, with the two files that name its special tokens.

    The reference library's `AutoTokenizer` opens the folder and gives the same ids. No truncation
    and no padding is written. A file is written under another name and then renamed, so that
    none is ever seen half written.

    Args:
        tokenizer: What to save.
        folder: Made if it is absent; the three files in it are replaced.
        max_length: How many tokens the model takes, for other programs (`model_max_length`);
            left out, what the tokenizer's own files said.

    Raises:
        FileError: The folder or a file cannot be written.
    """
    if isinstance(tokenizer, MappedTokenizer | FairseqTokenizer):
        _write_all(folder, tokenizer.files)
        return
    roles = tokenizer.special.to_hugging_face()
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    if not tokenizer.has_token_types:
        inputs.remove("token_type_ids")
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_input_names": inputs,
        **roles,
    }
    length = tokenizer.max_length if max_length is None else max_length
    if length is not None:
        config["model_max_length"] = length
    contents = {
        TOKENIZER_FILE: _SCORE_LINE.sub(_lasting_score, tokenizer.to_json(pretty=True)),
        CONFIG_FILE: json.dumps(config, ensure_ascii=False, indent=2),
        TOKENS_MAP_FILE: json.dumps(roles, ensure_ascii=False, indent=2),
    }
    _write_all(folder, {name: f"{content}\n".encode() for name, content in contents.items()})


def _write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            _write(folder / name, content)
    except OSError as error:
        raise FileError(
            f"{folder} cannot be written ({error.strerror}); choose a folder that can"
        ) from error


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _lasting_score(match: re.Match[str]) -> str:
    """Spell a score so that it comes back from the file bit for bit, if any spelling does.

    The library writes the shortest digits that are right, but reads all digits as one whole
    number and divides it by a power of ten. Beyond 2^53 both round, and a unigram model whose
    scores move by one bit splits `aaaaaa` in another way, of several equally good ones.
    """
    sign, integer, decimals = match.group("sign", "integer", "decimals")
    value = float(f"{integer}.{decimals}")
    number, power = int(integer + decimals), len(decimals)
    while number < 2**64 and power <= 22:
        step = max(1, int(math.ulp(float(number))))
        for distance in range(0, 8 * step, step):
            for near in (number - distance, number + distance):
                if float(near) / 10.0**power == value:
                    spelled = str(near).rjust(power + 1, "0")
                    return f"{sign}{spelled[:-power]}.{spelled[-power:]}"
        number, power = 10 * number, power + 1
    return match.group()


def _read_backend(path: Path) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_buffer(read_bytes(path))
    except FileError:
        raise
    # The library raises nothing narrower.
    except Exception as error:
        # These two know the position, or the byte, and raise if the fault is one of theirs.
        read_text(path)
        read_object(path)
        raise TokenizerError(
            f"{path} is JSON, but no tokenizer ({error}); fetch it again, or save it with the"
            " tokenizers library in use here"
        ) from error


def _read_legacy(folder: Path, settings: Settings) -> tokenizers.Tokenizer:
    vocabulary, merges = folder / _VOCAB_FILE, folder / _MERGES_FILE
    if (folder / _WORDPIECE_FILE).exists():
        return read_word_pieces(folder / _WORDPIECE_FILE, settings)
    if vocabulary.exists() and merges.exists():
        return read_byte_pairs(vocabulary, merges, settings)
    if vocabulary.exists() or merges.exists():
        there, absent = (vocabulary, merges) if vocabulary.exists() else (merges, vocabulary)
        raise TokenizerError(
            f"{there} is there without {absent.name}, and neither says enough alone; add"
            f" {absent.name}, or a {TOKENIZER_FILE}"
        )
    path = _find_sentencepiece(folder)
    return read_sentencepiece(read_bytes(path), settings, name=str(path))


def _find_sentencepiece(folder: Path) -> Path:
    usual = [folder / name for name in _SENTENCEPIECE_FILES if (folder / name).exists()]
    models = usual[:1] or sorted(folder.glob("*.model"))
    if len(models) > 1:
        names = ", ".join(path.name for path in models)
        raise TokenizerError(
            f"{folder} has several sentencepiece models, {names}; rename the one that is meant to"
            f" {_SENTENCEPIECE_FILES[0]}"
        )
    if not models:
        wanted = (
            f"{TOKENIZER_FILE}, {_WORDPIECE_FILE}, {_VOCAB_FILE} with {_MERGES_FILE}, or *.model"
        )
        raise TokenizerError(
            f"{folder} has no tokenizer: none of {wanted}; give the folder that holds the"
            " tokenizer's files"
        )
    return models[0]


def _apply_switches(backend: tokenizers.Tokenizer, settings: Settings) -> None:
    if settings.values.get("tokenizer_class") in _VERBATIM_CLASSES:
        return
    normalizer, pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    if isinstance(normalizer, normalizers.BertNormalizer):
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=normalizer.clean_text,
            handle_chinese_chars=settings.flag(
                "tokenize_chinese_chars", normalizer.handle_chinese_chars
            ),
            strip_accents=settings.optional_flag("strip_accents", normalizer.strip_accents),
            lowercase=settings.flag("do_lower_case", normalizer.lowercase),
        )
    if isinstance(pre_tokenizer, pre_tokenizers.ByteLevel):
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=settings.flag("add_prefix_space", pre_tokenizer.add_prefix_space),
            trim_offsets=pre_tokenizer.trim_offsets,
            use_regex=pre_tokenizer.use_regex,
        )


def _add_tokens(
    backend: tokenizers.Tokenizer, special: SpecialTokens, settings: Settings, folder: Path
) -> None:
    """Make the special tokens match in a text, and append those that the vocabulary lacks."""
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    for token_id, token in settings.added.items():
        if token.content not in known:
            backend.add_tokens([token])
            known.add(token.content)
        actual = backend.token_to_id(token.content)
        if actual != token_id:
            raise TokenizerError(
                f"{folder}: the added token {token.content!r} has the id {token_id} in"
                f" {CONFIG_FILE} or added_tokens.json, but {actual} in the vocabulary; the files"
                " do not belong together, fetch them all again"
            )
    spells_spaces = not isinstance(backend.model, tokenizers.models.WordPiece)
    for text in special.texts():
        if text not in known:
            # fairseq drops the space before a mask, whose pieces begin with their space. The
            # reference library did so up to version 4, and no longer does.
            takes_space = spells_spaces and text == special.mask
            token = AddedToken(text, lstrip=takes_space, normalized=False, special=True)
            backend.add_special_tokens([settings.matching.get(text, token)])
