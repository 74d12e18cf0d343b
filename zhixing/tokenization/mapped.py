"""Marian's tokenizers: pieces by a sentencepiece model, ids by a vocabulary of its own."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from sentencepiece import SentencePieceProcessor
from tokenizers.models import WordLevel

from zhixing.errors import DataError, TokenizerError
from zhixing.tokenization.settings import CONFIG_FILE, read_bytes, read_object
from zhixing.tokenization.special_tokens import SpecialTokens
from zhixing.tokenization.tokenizer import Tokenizer, Tokens, Wrapped, refuse_surrogates

SOURCE, TARGET = "source.spm", "target.spm"
VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
END, UNKNOWN, PADDING = "</s>", "<unk>", "<pad>"
_SPACE = "▁"
_SPECIAL = re.compile(f"({'|'.join(map(re.escape, (END, UNKNOWN, PADDING)))})")


class MappedTokenizer(Tokenizer):
    """Cut texts into a sentencepiece model's pieces, and number them by another vocabulary.

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
    ) -> None:
        missing = [text for text in (END, UNKNOWN) if text not in vocabulary]
        if missing:
            raise TokenizerError(
                f"{VOCABULARY} lacks {' and '.join(missing)}, which every Marian vocabulary has; "
                f"fetch it again"
            )
        padding = PADDING if PADDING in vocabulary else None
        words = tokenizers.Tokenizer(WordLevel(dict(vocabulary), unk_token=UNKNOWN))
        super().__init__(words, SpecialTokens(end=END, unknown=UNKNOWN, padding=padding))
        self.files = dict(files)
        self._vocabulary = dict(vocabulary)
        self._end, self._unknown = vocabulary[END], vocabulary[UNKNOWN]
        self._special_ids = {vocabulary[text] for text in self.special.texts()}
        try:
            self._processor: Any = SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise TokenizerError(
                f"{name} is damaged, or is no sentencepiece model ({error}); fetch it again"
            ) from error

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the ids of many texts at once; see `Tokenizer.ids`."""
        if isinstance(texts, str):
            raise DataError(
                f"texts is one text, {texts[:40]!r}, where a list of texts is needed; put it in"
                " brackets"
            )
        for row, text in enumerate(texts):
            refuse_surrogates(text, name=f"text {row}")
        find, unknown = self._vocabulary.get, self._unknown
        plain = [i for i, text in enumerate(texts) if not _is_special(text)]
        cut = self._processor.encode([texts[i] for i in plain], out_type=str, num_threads=-1)
        pieces = dict(zip(plain, cut, strict=True))
        return [
            [find(piece, unknown) for piece in pieces[i]] if i in pieces else self.tokens(text).ids
            for i, text in enumerate(texts)
        ]

    def tokens(self, text: str) -> Tokens:
        """Give the tokens of one text with their places; see `Tokenizer.tokens`."""
        refuse_surrogates(text, name="the text")
        pieces: list[str] = []
        offsets: list[tuple[int, int]] = []
        before = 0
        for part in _SPECIAL.split(text):
            code, rest = _code_of(part)
            whole = part if _SPECIAL.fullmatch(part) else code
            if whole:
                pieces.append(whole)
                offsets.append((before, before + len(whole)))
            if rest and whole != part:
                places = _characters_of(rest)
                start = before + len(code)
                for piece in self._processor.encode(rest, return_type="proto").pieces:
                    pieces.append(piece.piece)
                    offsets.append((start + places[piece.begin], start + places[piece.end]))
            before += len(part)
        return Tokens([self._vocabulary.get(p, self._unknown) for p in pieces], pieces, offsets)

    def wrap(self, ids: Sequence[int], pair: Sequence[int] | None = None) -> Wrapped:
        """Put the end after one text, or after two."""
        whole = [*ids, *(pair or ()), self._end]
        return Wrapped(whole, [0] * len(whole))

    def num_special(self, *, pair: bool) -> int:
        """Count the tokens that `wrap` puts around one text, or around two."""
        return 1

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """Give the text that ids stand for, without special tokens unless they are asked for."""
        pieces = [
            self.piece(i)
            for i in ids
            if i < self.vocab_size and (keep_special or i not in self._special_ids)
        ]
        return "".join(pieces).replace(_SPACE, " ").strip()

    def fingerprint(self) -> str:
        """Give a sha256 over the tokenizer's files: equal fingerprints give equal ids."""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            digest.update(name.encode() + len(content).to_bytes(8, "little") + content)
        return digest.hexdigest()


def read_mapped(folder: Path, *, is_target: bool) -> MappedTokenizer:
    """Read one tokenizer of a Marian folder: `source.spm`, `target.spm`, `vocab.json`.

    Args:
        folder: Of the model.
        is_target: Of what is written, not of what is read.

    Raises:
        FileError: A file cannot be read.
        TokenizerError: A file is missing, damaged, or lacks what every such vocabulary has.
    """
    needed = (SOURCE, TARGET, VOCABULARY)
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise TokenizerError(
            f"{folder} lacks {', '.join(missing)}; a Marian model's tokenizer is {SOURCE}, "
            f"{TARGET} and {VOCABULARY}: fetch the model again"
        )
    kept = [n for n in (*needed, TARGET_VOCABULARY, CONFIG_FILE) if (folder / n).exists()]
    files = {name: read_bytes(folder / name) for name in kept}
    has_own = is_target and TARGET_VOCABULARY in files
    model = TARGET if is_target else SOURCE
    return MappedTokenizer(
        files[model],
        _ids_in(folder / (TARGET_VOCABULARY if has_own else VOCABULARY)),
        files=files,
        name=str(folder / model),
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


def _is_special(text: str) -> bool:
    return text.startswith(">>") or _SPECIAL.search(text) is not None


def _code_of(text: str) -> tuple[str, str]:
    """Part a language's code from the rest of a text.

    Example:
        >>> _code_of(">>fra<< Hello"), _code_of("Hello")
        (('>>fra<<', ' Hello'), ('', 'Hello'))
    """
    end = text.find("<<") if text.startswith(">>") else -1
    return (text[: end + 2], text[end + 2 :]) if end >= 0 else ("", text)
