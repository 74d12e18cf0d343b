"""What has to survive translation: placeholders, tags, and a person's own terms."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

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
