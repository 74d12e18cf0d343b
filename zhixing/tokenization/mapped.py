"""Marian's and M2M-100's tokenizers: pieces by a SentencePiece model, ids by another vocabulary."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from sentencepiece import SentencePieceProcessor
from tokenizers.models import WordLevel

from zhixing.errors import TokenizerError
from zhixing.tokenization.settings import (
    CONFIG_FILE,
    TOKENS_MAP_FILE,
    read_bytes,
    read_object,
)
from zhixing.tokenization.special_tokens import SpecialTokens
from zhixing.tokenization.tokenizer import (
    Tokenizer,
    Tokens,
    Wrapped,
    digest_of,
    refuse_one_text,
    refuse_surrogates,
)

SOURCE_MODEL, TARGET_MODEL = "source.spm", "target.spm"
VOCAB_FILE, TARGET_VOCAB_FILE = "vocab.json", "target_vocab.json"
LANGUAGES_MODEL = "sentencepiece.bpe.model"
END, UNKNOWN, PADDING, START = "</s>", "<unk>", "<pad>", "<s>"
_SPACE = "▁"
# The languages of M2M-100 and of Facebook's WMT 2021 models, in the order of their tokens' ids.
_LANGUAGES = {
    "m2m100": "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga"
    " gd gl gu ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk"
    " ml mn mr ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl"
    " tn tr uk ur uz vi wo xh yi yo zh zu",
    "wmt21": "en ha is ja cs ru zh de",
}
_LANGUAGE = re.compile(r"__\w+__")


class MappedTokenizer(Tokenizer):
    """Cut texts into a SentencePiece model's pieces, and number them by another vocabulary.

    The vocabulary is often that of two languages, and has pieces that this model does not know: a
    stretch that is unknown to the model is looked up, too. A code such as `>>fra<<` at the very
    beginning of a text names the language to write, and is one token. Punctuation is read as it
    stands: Moses' normalization, which some of these models were trained after, is applied where
    `TranslateOptions.normalizes` asks for it, and not otherwise, as in the reference library.

    Args:
        model: The content of a sentencepiece model.
        vocabulary: Id of each piece.
        files: The files it came from, by name, to be saved as they are.
        name: What a message calls the model.
        languages: Tokens that each name a language; every text that is read begins with one.
        reads: The one of them with which it does, unless told otherwise.

    Raises:
        TokenizerError: If the model is damaged, or the vocabulary lacks the end or the unknown
            piece.

    Source:
        Junczys-Dowmunt et al. 2018, arXiv:1804.00344; Kudo and Richardson 2018, arXiv:1808.06226.
    """

    def __init__(
        self,
        model: bytes,
        vocabulary: Mapping[str, int],
        *,
        files: Mapping[str, bytes],
        name: str,
        languages: Sequence[str] = (),
        reads: str | None = None,
    ) -> None:
        missing = [text for text in (END, UNKNOWN) if text not in vocabulary]
        if missing:
            raise TokenizerError(
                f"{VOCAB_FILE} lacks {' and '.join(missing)}, which every Marian vocabulary has; "
                f"fetch it again"
            )
        if reads is not None and reads not in languages:
            raise TokenizerError(
                f"{CONFIG_FILE} says that {reads} is read, which is none of the model's languages; "
                f"they are {', '.join(languages)}"
            )
        last = max(vocabulary.values())
        vocabulary = {**vocabulary, **{text: last + 1 + i for i, text in enumerate(languages)}}
        padding = PADDING if PADDING in vocabulary else None
        start = START if languages and START in vocabulary else None
        words = tokenizers.Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
        special = SpecialTokens(start=start, end=END, unknown=UNKNOWN, padding=padding)
        super().__init__(words, special)
        self.files = dict(files)
        self.languages = tuple(languages)
        self._vocabulary = vocabulary
        self._end, self._unknown = vocabulary[END], vocabulary[UNKNOWN]
        self._before = [] if reads is None else [vocabulary[reads]]
        spelled = (*self.special.texts(), *languages)
        self._special_ids = {vocabulary[text] for text in spelled}
        self._special = re.compile(f"({'|'.join(map(re.escape, spelled))})")
        try:
            self._processor: Any = SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise TokenizerError(
                f"{name} is damaged, or is no sentencepiece model ({error}); fetch it again"
            ) from error

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the ids of many texts at once; see `Tokenizer.ids`."""
        refuse_one_text(texts)
        for row, text in enumerate(texts):
            refuse_surrogates(text, name=f"text {row}")
        find, unknown = self._vocabulary.get, self._unknown
        plain = [i for i, text in enumerate(texts) if not self._is_special(text)]
        cut = self._processor.encode([texts[i] for i in plain], out_type=str, num_threads=-1)
        pieces = dict(zip(plain, cut, strict=True))
        return [
            [find(piece, unknown) for piece in pieces[i]] if i in pieces else self.tokens(text).ids
            for i, text in enumerate(texts)
        ]

    def tokens(self, text: str) -> Tokens:
        """Give the tokens of one text with their offsets; see `Tokenizer.tokens`."""
        refuse_surrogates(text, name="the text")
        pieces: list[str] = []
        offsets: list[tuple[int, int]] = []
        before = 0
        for part in self._special.split(text):
            code, rest = ("", part) if self.languages else _code_of(part)
            token = part if self._special.fullmatch(part) else code
            if token:
                pieces.append(token)
                offsets.append((before, before + len(token)))
            if rest and token != part:
                places = _characters_of(rest)
                start = before + len(code)
                for piece in self._processor.encode(rest, return_type="proto").pieces:
                    pieces.append(piece.piece)
                    offsets.append((start + places[piece.begin], start + places[piece.end]))
            before += len(part)
        return Tokens([self._vocabulary.get(p, self._unknown) for p in pieces], pieces, offsets)

    def wrap(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Wrapped:
        """Put the language token before one text, or two, and the end-of-sequence token after."""
        input_ids = [*self._before, *ids, *(pair or ()), self._end]
        return Wrapped(input_ids, [0] * len(input_ids))

    def num_special(self, *, pair: bool) -> int:
        """Count the special tokens that `wrap` puts around one text, or around two."""
        return 1 + len(self._before)

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """Decode ids into text, without special tokens unless they are asked for."""
        pieces = [
            self.piece(i)
            for i in ids
            if i < self.vocab_size and (keep_special or i not in self._special_ids)
        ]
        return "".join(pieces).replace(_SPACE, " ").strip()

    def _is_special(self, text: str) -> bool:
        return text.startswith(">>") or self._special.search(text) is not None

    def fingerprint(self) -> str:
        """Give a sha256 over the tokenizer's files: equal fingerprints give equal ids."""
        return digest_of(self.files)


def read_mapped(folder: Path, *, is_target: bool) -> MappedTokenizer:
    """Read one tokenizer of a Marian folder: `source.spm`, `target.spm`, `vocab.json`.

    Raises:
        FileError: A file cannot be read.
        TokenizerError: A file is missing, damaged, or lacks what every such vocabulary has.
    """
    needed = (SOURCE_MODEL, TARGET_MODEL, VOCAB_FILE)
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise TokenizerError(
            f"{folder} lacks {', '.join(missing)}; a Marian model's tokenizer is {SOURCE_MODEL}, "
            f"{TARGET_MODEL} and {VOCAB_FILE}: fetch the model again"
        )
    kept = [n for n in (*needed, TARGET_VOCAB_FILE, CONFIG_FILE) if (folder / n).exists()]
    files = {name: read_bytes(folder / name) for name in kept}
    has_own = is_target and TARGET_VOCAB_FILE in files
    model = TARGET_MODEL if is_target else SOURCE_MODEL
    return MappedTokenizer(
        files[model],
        _ids_in(folder / (TARGET_VOCAB_FILE if has_own else VOCAB_FILE)),
        files=files,
        name=str(folder / model),
    )


def reads_many_languages(folder: Path) -> bool:
    """Tell whether a folder has M2M-100's two files, and nothing newer."""
    has_both = (folder / LANGUAGES_MODEL).exists() and (folder / VOCAB_FILE).exists()
    return has_both and not (folder / "tokenizer.json").exists()


def read_many_languages(folder: Path) -> MappedTokenizer:
    """Read M2M-100's tokenizer: `sentencepiece.bpe.model` and `vocab.json`.

    The languages are tokens behind the vocabulary: those that the folder names, else the published
    ones. A text that is read begins with `src_lang`, English if it is not said.

    Raises:
        FileError: A file cannot be read.
        TokenizerError: A file is damaged, or lacks what every such vocabulary has.

    Source:
        Fan et al. 2020, arXiv:2010.11125, section 2.
    """
    names = (LANGUAGES_MODEL, VOCAB_FILE, CONFIG_FILE, TOKENS_MAP_FILE)
    files = {name: read_bytes(folder / name) for name in names if (folder / name).exists()}
    stated = {
        name: read_object(folder / name) for name in (CONFIG_FILE, TOKENS_MAP_FILE) if name in files
    }
    options = stated.get(CONFIG_FILE, {})
    listed = stated.get(TOKENS_MAP_FILE, {}).get("additional_special_tokens")
    languages = [
        text for text in listed or () if isinstance(text, str) and _LANGUAGE.fullmatch(text)
    ]
    if not languages:
        kind = options.get("language_codes") or "m2m100"
        if kind not in _LANGUAGES:
            raise TokenizerError(
                f"{folder / CONFIG_FILE}: language_codes is {kind!r}; allowed are "
                f"{', '.join(_LANGUAGES)}"
            )
        languages = [f"__{code}__" for code in _LANGUAGES[kind].split()]
    return MappedTokenizer(
        files[LANGUAGES_MODEL],
        _ids_in(folder / VOCAB_FILE),
        files=files,
        name=str(folder / LANGUAGES_MODEL),
        languages=languages,
        reads=f"__{options.get('src_lang') or 'en'}__",
    )


def _ids_in(path: Path) -> dict[str, int]:
    values = read_object(path)
    if not all(type(number) is int and number >= 0 for number in values.values()) or not values:
        raise TokenizerError(f"{path} has to give each piece a number from 0 on; fetch it again")
    return values


def _characters_of(text: str) -> list[int]:
    """Tell for every byte of a text, and for its end, to which character it belongs."""
    places = [i for i, character in enumerate(text) for _ in character.encode()]
    return [*places, len(text)]


def _code_of(text: str) -> tuple[str, str]:
    """Part a language's code from the rest of a text.

    Example:
        >>> _code_of(">>fra<< Hello"), _code_of("Hello")
        (('>>fra<<', ' Hello'), ('', 'Hello'))
    """
    end = text.find("<<") if text.startswith(">>") else -1
    return (text[: end + 2], text[end + 2 :]) if end >= 0 else ("", text)
