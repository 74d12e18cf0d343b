"""A document's sentences, and what in them has to survive: placeholders, tags, terms."""

import re
from collections import Counter
from collections.abc import Mapping
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
        parts = sentencex.segment(_language_of(line, language), line) if line else []
        for part in parts if "".join(parts) == line else [line]:
            spans += _bare(part, place)
            place += len(part)
    return spans


def _language_of(line: str, language: str) -> str:
    # What has no such character at all is asked no further.
    return "zh" if not line.isascii() and is_chinese([line]) else language


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


_KEPT = re.compile(
    r"""\{\{?[^{}\s]{0,60}\}?\}                 # {name}, {{name}}, {0}
    | %\([A-Za-z_]\w*\)[#0\- +]?\d*[a-zA-Z]     # %(name)s
    | %(?:\d+\$)?[sdifgx](?![A-Za-z])           # %s, %1$d
    | \$\{[^{}\s]{1,60}\}                       # ${name}
    | </?[A-Za-z][^<>]{0,200}>                  # <b>, </a>, <img src="x">
    | &(?:[a-zA-Z]+|\#\d+);                     # &nbsp;
    | (?:https?://|www\.)[^\s<>]+[^\s<>.,;:!?)] # addresses
    | [\w.+-]+@[\w-]+\.[\w.-]*\w                # e-mail
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Kept:
    """A stretch of a source that decides what has to be written.

    Attributes:
        start, end: Where it stands.
        wanted: What has to stand in the translation.
    """

    start: int
    end: int
    wanted: str


def kept_parts(text: str, terms: Mapping[str, str]) -> list[Kept]:
    """Find placeholders, tags, addresses and terms, in order, none inside another.

    Args:
        text: A sentence.
        terms: What a person's words are to become; themselves, to be left as they are.
    """
    found = [Kept(m.start(), m.end(), m.group()) for m in _KEPT.finditer(text)]
    for term, wanted in terms.items():
        edges = (r"\b" if term[0].isalnum() else "", r"\b" if term[-1].isalnum() else "")
        pattern = f"{edges[0]}{re.escape(term)}{edges[1]}"
        found += [Kept(m.start(), m.end(), wanted) for m in re.finditer(pattern, text)]
    found.sort(key=lambda one: (one.start, -one.end))
    parts: list[Kept] = []
    for one in found:
        if not parts or one.start >= parts[-1].end:
            parts.append(one)
    return parts


def stretches_between(parts: list[Kept], text: str) -> list[tuple[int, int]]:
    """Give the bounds of what stands before, between and after the kept parts of a text.

    Example:
        >>> stretches_between([Kept(2, 5, "{a}")], "x {a} y")
        [(0, 2), (5, 7)]
    """
    edges = [0, *(edge for part in parts for edge in (part.start, part.end)), len(text)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def survive(parts: list[Kept], written: str) -> bool:
    """Tell whether everything that had to be written was, as often as it had to be."""
    wanted = Counter(part.wanted for part in parts)
    return all(written.count(text) >= count for text, count in wanted.items())
