"""A document's sentences, each with its place; what stands between them is kept as it is."""

import re
from dataclasses import dataclass

import sentencex

from zhixing.metrics.scripts import is_chinese

# What has no letter in it is not language: numbers, rules, emoji.
_LETTER = re.compile(r"[^\W\d_]")
_ADDRESS = re.compile(r"(?:https?://|www\.|ftp://)\S+|\S+@\S+\.\w+")
# A word that only a program reads: a_name, path/to/file, call(), key=value.
_CODE_WORD = re.compile(r"\S*(?:[_/\\=<>{}\[\]|;]|\(\)|::|->)\S*")
_CODE_SHARE = 0.6


@dataclass(frozen=True)
class Span:
    """A stretch of a document.

    Attributes:
        start, end: First character and one past the last.
        text: What stands there.
        is_language: It is a sentence; otherwise it is to be copied: blanks, numbers, addresses.
    """

    start: int
    end: int
    text: str
    is_language: bool


def sentence_spans(text: str, language: str) -> list[Span]:
    r"""Part a document into sentences and what stands between them; joined, they are the document.

    Lines are never joined: a line break ends a sentence.

    Args:
        text: Of any length.
        language: Its ISO 639-1 code, for the abbreviations; Chinese is recognized.

    Example:
        >>> [(span.text, span.is_language) for span in sentence_spans("Hi. You?\n42", "en")]
        [('Hi.', True), (' ', False), ('You?', True), ('\n', False), ('42', False)]
    """
    spans: list[Span] = []
    place = 0
    for line in re.split(r"((?:\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])+)", text):
        parts = sentencex.segment("zh" if is_chinese([line]) else language, line) if line else []
        for part in parts if "".join(parts) == line else [line]:
            spans += _bare(part, place)
            place += len(part)
    return spans


def is_language(text: str) -> bool:
    """Tell whether a text is words to be translated, rather than something to be copied."""
    if not _LETTER.search(text):
        return False
    rest = _ADDRESS.sub("", text)
    if not _LETTER.search(rest):
        return False
    words = rest.split()
    code = sum(bool(_CODE_WORD.fullmatch(word)) for word in words)
    return code <= _CODE_SHARE * len(words)


def _bare(part: str, place: int) -> list[Span]:
    """Set the blanks around a sentence apart."""
    inner = part.strip()
    if not inner:
        return [Span(place, place + len(part), part, False)] if part else []
    start = part.index(inner)
    bounds = (0, start, start + len(inner), len(part))
    return [
        Span(place + a, place + b, part[a:b], i == 1 and is_language(inner))
        for i, (a, b) in enumerate(zip(bounds, bounds[1:], strict=False))
        if b > a
    ]
