"""The half of a job that opens model folders and asks models; it imports nothing that learns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from zhixing.checkpoints.card import Card
from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.roles import TEXT, Role
from zhixing.data.table import Table
from zhixing.jobs.registry import imported
from zhixing.jobs.report import Agreement, Line, Report
from zhixing.models.transformer import Transformer


@runtime_checkable
class Opened(Protocol):
    """A model in use: it answers one text or a list, tables of rows, and is scored on tables."""

    pretrained: Pretrained
    card: Card
    model: Transformer
    precision: str

    def __call__(self, texts: Any, /, *, options: Any = ...) -> Any:
        """Answer one text with a result, a list with a list."""

    def answer(self, table: Table, options: Any) -> Sequence[Any]:
        """Answer every row of a table, in order, each with a result that has `to_dict`."""

    def score(self, table: Table, *, against: Any = None, seed: int = 0) -> Report:
        """Score the answers to a table's rows against its targets.

        Args:
            table: With the roles that `Use.scored` names.
            against: Another opened model, to be held against this one on the same rows.
            seed: Of the bootstrap.
        """

    def agreement(self, other: Any, table: Table) -> Agreement:
        """Say how far another model's answers are from this one's."""


@dataclass(frozen=True)
class NoOptions:
    """Nothing can be asked for beyond the answer."""


class Use:
    """How a task's folders are opened and asked; a job says what it does its own way.

    Attributes:
        options: A frozen dataclass of what may be asked for; its fields are `tasks.options.option`.
        asked: Roles of the columns that are read to be answered.
        kinds: Endings of the files that answers can be written to; the first for a terminal.
        rows_at_a_time: Rows that are answered together.
        precision: On the command line, unless another one is asked for.
        pages: What makes the sections of its page for `inspect`, as `module:attribute`.
    """

    options: type = NoOptions
    asked: tuple[Role, ...] = (TEXT,)
    kinds: tuple[str, ...] = (".jsonl",)
    rows_at_a_time: int = 2048
    precision: str = "float32"
    pages: str = "zhixing.jobs.pages:attention_sections"

    def open(self, pretrained: Pretrained, *, device: str, precision: Any) -> Any:
        """Open a loaded folder as an object that answers: an `Opened`."""
        raise NotImplementedError

    def scored(self, card: Card, *, must: bool) -> tuple[Role, ...]:
        """Name the roles of the columns that are read to be scored.

        Args:
            card: Of the model.
            must: Refuse rows without targets; otherwise they are read where they are found.
        """
        raise NotImplementedError

    def reading(self, card: Card) -> Mapping[str, Any]:
        """Give what else `read_table` has to be told for this model's rows."""
        return {}

    def facts(self, model: Any) -> Mapping[str, Any]:
        """Give what decides about answers beside model, precision and options."""
        return {}

    def lines(self, text: str, result: Any) -> list[Line]:
        """Say a result in lines of a terminal."""
        values = ", ".join(f"{name} {value}" for name, value in result.to_dict().items())
        return [(values, "")]

    def sections(self, model: Any, text: str, pair: str | None) -> list[Any]:
        """Give the sections of a page that looks inside while an opened model reads a text."""
        return imported(self.pages)(model, text, pair)

    def next_words(self, pretrained: Pretrained) -> str:
        """Give words of a command that tries a model which was just trained."""
        return '"a text of yours"'

    def brief(self, text: str, result: Any) -> list[Line]:
        """Say a result as one of many."""
        return self.lines(text, result)
