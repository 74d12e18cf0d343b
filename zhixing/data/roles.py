"""Roles of columns: what a task reads from a table, and the names by which a column is found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

# How the cells of a column are read: as texts, as labels (one or several a row), as numbers.
CellKind = Literal["text", "label", "number"]


@dataclass(frozen=True)
class Role:
    """Say what the cells of one column are to a task, and how the column is found.

    Attributes:
        name: By which a person names its column: `--text COLUMN`, `Columns(text=COLUMN)`.
        kind: What its cells hold.
        noun: What one of its cells is called in messages.
        names: Columns that are taken for it without being asked for; the first is the role's own
            and wins. Of the others exactly one may be there: which of two plausible columns is
            meant is not for us to guess.
        is_required: Refuse a table without it.
        at_least: Of numbers, the least that is allowed; None for any.
    """

    name: str
    kind: CellKind
    noun: str
    names: tuple[str, ...] = ()
    is_required: bool = True
    at_least: float | None = None

    def optional(self) -> "Role":
        """Give the same role, read where its column is unmistakable."""
        return replace(self, is_required=False)


class Columns(Mapping[str, str]):
    """Say which column holds what, by role; those left out are found by their names.

    Args:
        names: A column for each role: text, pair (second texts), target (what is to be written),
            label, weight (how much a row counts; never found by name), or a task's own role.

    Example:
        >>> dict(Columns(text="review", label=None))
        {'text': 'review'}
    """

    def __init__(self, **names: str | None) -> None:
        self._names = {role: name for role, name in names.items() if name is not None}

    def __getitem__(self, role: str) -> str:
        return self._names[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"Columns({', '.join(f'{role}={name!r}' for role, name in self.items())})"


TEXT_NAMES = (
    *("text", "sentence", "review", "message", "content", "question", "source", "texts", "body"),
    *("comment", "document", "tweet", "utterance", "input", "query", "text1", "text_a"),
    *("sentence1", "sentence_a", "premise", "question1", "文本", "内容", "句子", "评论"),
)
PAIR_NAMES = (
    *("pair", "text2", "text_b", "text_pair", "sentence2", "sentence_b", "hypothesis"),
    *("question2", "second"),
)
TARGET_NAMES = (
    *("target", "targets", "translation", "summary", "output", "reference", "response", "answer"),
    *("headline", "title", "译文", "目标", "摘要"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "category", "intent", "sentiment", "target", "topic", "tag"),
    *("tags", "emotion", "classes", "categories", "标签", "类别", "情感", "意图"),
)

TEXT = Role("text", "text", "text", TEXT_NAMES)
PAIR = Role("pair", "text", "second text", PAIR_NAMES, is_required=False)
TARGET = Role("target", "text", "target", TARGET_NAMES)
LABEL = Role("label", "label", "label", LABEL_NAMES)
WEIGHT = Role("weight", "number", "weight", is_required=False, at_least=0.0)

# The roles of the common kinds of table.
TEXTS = (PAIR, TEXT)
LABELLED = (PAIR, TEXT, LABEL, WEIGHT)
MAYBE_LABELLED = (PAIR, TEXT, LABEL.optional(), WEIGHT)
PAIRS = (TARGET, TEXT, WEIGHT)
