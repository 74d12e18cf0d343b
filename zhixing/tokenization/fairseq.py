"""fairseq's WMT 2019 (FSMT) tokenizers: Moses' words, cut by byte-pair encoding (BPE)."""

import html
import importlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing

from zhixing.errors import TokenizerError
from zhixing.tokenization.settings import (
    CONFIG_FILE,
    SpecialTokens,
    read_bytes,
    read_object,
    read_text,
)
from zhixing.tokenization.tokenizer import (
    Tokenizer,
    Tokens,
    digest_of,
    refuse_surrogates,
    refuse_unreadable,
)

SOURCE_VOCAB_FILE, TARGET_VOCAB_FILE, MERGES_FILE = "vocab-src.json", "vocab-tgt.json", "merges.txt"
START, PADDING, END, UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"
_SPECIAL_TOKENS = (START, PADDING, END, UNKNOWN)
_SPECIAL_PATTERN = re.compile(f"({'|'.join(map(re.escape, _SPECIAL_TOKENS))})")
_WORD_END = "</w>"
# Wide and Chinese punctuation as Moses' `replace-unicode-punctuation.perl` writes it.
_WIDE_MARKS = "，、”“∶：？《》）！（；１」「０３２５６９７８４～’━〈〉【】％"
_PLAIN_MARKS = ',,""::?"")!(;1""032569784~\'-<>[]%'
_PUNCTUATION = str.maketrans(dict(zip(_WIDE_MARKS, _PLAIN_MARKS, strict=True)) | {"…": "..."})
_FULL_STOP = re.compile(r"[。．]\s*")


class FairseqTokenizer(Tokenizer):
    """Part texts into words by Moses' rules, and words into pieces by byte-pair encoding (BPE).

    The first of the merges, pairs of pieces, is made first. The files, which both sides have alike,
    are saved as they are. Moses' rules ask for the language's ISO 639-1 code.

    Raises:
        TokenizerError: If the vocabulary lacks a special token, or sacremoses is not installed.

    Source:
        Ng et al. 2019, arXiv:1907.06616, section 2; Sennrich et al. 2016, arXiv:1508.07909,
        algorithm 1; Koehn et al. 2007 for Moses' rules, as sacremoses has them.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        *,
        language: str,
        lowercase: bool,
        files: Mapping[str, bytes],
        is_target: bool,
    ) -> None:
        missing = [text for text in _SPECIAL_TOKENS if text not in vocabulary]
        if missing:
            raise TokenizerError(
                f"{SOURCE_VOCAB_FILE} or {TARGET_VOCAB_FILE} lacks {', '.join(missing)}, which "
                f"every such vocabulary has; fetch it again"
            )
        words = tokenizers.Tokenizer(WordLevel(dict(vocabulary), unk_token=UNKNOWN))
        words.post_processor = TemplateProcessing(
            single=f"$A {END}", pair=f"$A {END} $B {END}", special_tokens=[(END, vocabulary[END])]
        )
        special = SpecialTokens(start=START, end=END, unknown=UNKNOWN, padding=PADDING)
        super().__init__(words, special)
        self.files = dict(files)
        self.lowercase = lowercase
        self.is_target = is_target
        self._vocabulary = dict(vocabulary)
        self._unknown = vocabulary[UNKNOWN]
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known: dict[str, list[str]] = {}
        moses = _moses()
        self._normalizer = moses.MosesPunctNormalizer(lang=language)
        self._words = moses.MosesTokenizer(lang=language)
        self._joiner = moses.MosesDetokenizer(lang=language)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the ids of many texts at once; see `Tokenizer.ids`."""
        refuse_unreadable(texts)
        find = self._vocabulary.get
        return [[find(p, self._unknown) for _, p in self._pieces(text)] for text in texts]

    def tokens(self, text: str) -> Tokens:
        """Give the tokens of one text with their offsets; see `Tokenizer.tokens`.

        A word that Moses' rules wrote otherwise has no place of its own.
        """
        refuse_surrogates(text, name="the text")
        pieces: list[str] = []
        offsets: list[tuple[int, int]] = []
        position = start = end = 0
        last: tuple[int, str] | None = None
        for word, piece in self._pieces(text):
            if word != last:
                plain = html.unescape(word[1])
                start = text.find(plain, position)
                start, end = (start, start + len(plain)) if start >= 0 else (position, position)
                position, last = end, word
            length = len(piece.removesuffix(_WORD_END))
            pieces.append(piece)
            offsets.append((start, min(start + length, end)))
            start = offsets[-1][1]
        return Tokens([self._vocabulary.get(p, self._unknown) for p in pieces], pieces, offsets)

    def decode(self, ids: Sequence[int], *, keep_special: bool = False) -> str:
        """Decode ids into text, its words joined by Moses' rules."""
        pieces = (self.piece(i) for i in ids if i < self.vocab_size)
        kept = [piece for piece in pieces if keep_special or piece not in _SPECIAL_TOKENS]
        words = "".join(kept).replace(_WORD_END, " ").split()
        return str(self._joiner.detokenize(words))

    def fingerprint(self) -> str:
        """Give a sha256 over the tokenizer's files: equal fingerprints give equal ids."""
        return digest_of(self.files, str(self.is_target))

    def _pieces(self, text: str) -> list[tuple[tuple[int, str], str]]:
        """Give every piece with the number and the spelling of its word."""
        words: list[str] = []
        for part in _SPECIAL_PATTERN.split(text.lower() if self.lowercase else text):
            if part in _SPECIAL_TOKENS:
                words.append(part)
            elif part:
                plain = self._normalizer.normalize(_plain(part))
                plain = "".join(c for c in plain if not unicodedata.category(c).startswith("C"))
                words += self._words.tokenize(plain, aggressive_dash_splits=True, escape=True)
        return [
            ((number, word), piece)
            for number, word in enumerate(words)
            for piece in ([word] if word in _SPECIAL_TOKENS else self._merged(word))
        ]

    def _merged(self, word: str) -> list[str]:
        """Merge the characters of a word, the pair of the lowest rank first, wherever it stands."""
        if word in self._known:
            return self._known[word]
        pieces = [*word[:-1], word[-1] + _WORD_END]
        while len(pieces) > 1:
            pairs = list(zip(pieces, pieces[1:], strict=False))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            merged: list[str] = []
            for piece in pieces:
                if merged and (merged[-1], piece) == best:
                    merged[-1] += piece
                else:
                    merged.append(piece)
            pieces = merged
        self._known[word] = pieces
        return pieces


def reads_fairseq(folder: Path) -> bool:
    """Tell whether a folder has fairseq's (FSMT's) vocabulary for each side."""
    return (folder / SOURCE_VOCAB_FILE).exists()


def read_fairseq(folder: Path, *, is_target: bool) -> FairseqTokenizer:
    """Read one tokenizer of an FSMT folder: `vocab-src.json`, `vocab-tgt.json`, `merges.txt`.

    Raises:
        FileError: A file cannot be read.
        TokenizerError: A file is missing or damaged, or the languages are not said.
    """
    needed = (SOURCE_VOCAB_FILE, TARGET_VOCAB_FILE, MERGES_FILE)
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise TokenizerError(
            f"{folder} lacks {', '.join(missing)}; an FSMT model's tokenizer is "
            f"{', '.join(needed)}: fetch the model again"
        )
    kept = [name for name in (*needed, CONFIG_FILE) if (folder / name).exists()]
    files = {name: read_bytes(folder / name) for name in kept}
    options = read_object(folder / CONFIG_FILE) if CONFIG_FILE in files else {}
    languages = options.get("langs")
    if languages is None and (folder / "config.json").exists():
        languages = read_object(folder / "config.json").get("langs")
        files[CONFIG_FILE] = json.dumps({**options, "langs": languages}).encode()
    if not isinstance(languages, list) or len(languages) != 2:
        raise TokenizerError(
            f"{folder / CONFIG_FILE}: langs is {languages!r}; it has to name two languages, such "
            f'as ["en", "de"]'
        )
    vocabulary = read_object(folder / (TARGET_VOCAB_FILE if is_target else SOURCE_VOCAB_FILE))
    lines = [line.split()[:2] for line in read_text(folder / MERGES_FILE).split("\n")]
    return FairseqTokenizer(
        vocabulary,
        [(line[0], line[1]) for line in lines if len(line) == 2],
        language=str(languages[1 if is_target else 0]),
        lowercase=bool(options.get("do_lower_case", False)),
        files=files,
        is_target=is_target,
    )


def _plain(text: str) -> str:
    return _FULL_STOP.sub(". ", text.translate(_PUNCTUATION))


def _moses() -> Any:
    try:
        return importlib.import_module("sacremoses")
    except ImportError as error:
        raise TokenizerError(
            "an FSMT model reads words by Moses' rules, which come from sacremoses, and it is not "
            "installed; run: pip install sacremoses"
        ) from error
