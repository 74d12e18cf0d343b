"""What all opened models that write have in common: answers to rows, scores, pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from zhixing.checkpoints.card import Card
from zhixing.data.roles import PAIRS, TARGET, TEXT, Role
from zhixing.data.table import Table
from zhixing.jobs.registry import imported
from zhixing.jobs.report import Agreement, Line, Report
from zhixing.jobs.use import Use
from zhixing.tasks.writer import TextWriter


class WritingModel(TextWriter):
    """A writer that is asked about rows and scored on them."""

    def write_about(self, texts: Sequence[str]) -> tuple[list[str], int]:
        """Give what is written about each text, and how many of these texts were cut."""
        raise NotImplementedError

    def score(
        self, table: Table, *, against: "WritingModel | None" = None, seed: int = 0
    ) -> Report:
        """Score what is written about a table's rows against its targets."""
        scored = imported("zhixing.jobs.sequence_to_sequence.report:score_texts")
        return scored(self, table, against=against, seed=seed)

    def agreement(self, other: "WritingModel", table: Table) -> Agreement:
        """Say about how many rows another model writes the same."""
        compared = imported("zhixing.jobs.sequence_to_sequence.report:text_agreement")
        return compared(self, other, table)


class WritingUse(Use):
    """How models that write are opened and asked."""

    asked = (TEXT,)
    kinds = (".txt", ".tsv", ".jsonl")
    # Enough sentences of like length to share a step.
    rows_at_a_time = 256
    precision = "auto"
    pages = "zhixing.jobs.sequence_to_sequence.pages:cross_attention_sections"

    def scored(self, card: Card, *, must: bool) -> tuple[Role, ...]:
        """Read texts and targets."""
        return PAIRS if must else (TARGET.optional(), TEXT)

    def facts(self, model: Any) -> Mapping[str, Any]:
        """Give the vocabulary that a model writes with."""
        shortlist = model.shortlist
        return {"shortlist": None if shortlist is None else shortlist.fingerprint()}

    def lines(self, text: str, result: Any) -> list[Line]:
        """Say what was written, and what a reader should know of it."""
        lines: list[Line] = [(result.text, "")]
        if result.flags:
            lines.append((f"  ({', '.join(result.flags)})", "note"))
        return lines
