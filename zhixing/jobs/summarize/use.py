"""Opened summarizers: `Summarizer` with scores, agreement and pages."""

from collections.abc import Sequence
from typing import Any

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.data.table import Table
from zhixing.jobs.sequence_to_sequence.use import WritingModel, WritingUse
from zhixing.tasks.summarization import SummarizeOptions, Summarizer, Summary


class OpenedSummarizer(Summarizer, WritingModel):
    """A summarizer that is scored as a person would use it: whole texts."""

    def answer(self, table: Table, options: SummarizeOptions) -> list[Summary]:
        """Summarize every row of a table."""
        return self.summarize(table.texts, options)

    def write_about(self, texts: Sequence[str]) -> tuple[list[str], int]:
        """Summarize whole texts."""
        results = self.summarize(texts)
        return [result.text for result in results], sum("cut" in each.flags for each in results)


class SummarizeUse(WritingUse):
    """How summarizers are opened and asked."""

    options = SummarizeOptions

    def open(self, pretrained: Pretrained, *, device: str, precision: Any) -> OpenedSummarizer:
        """Open a loaded folder as a summarizer."""
        return OpenedSummarizer(pretrained, device=device, precision=precision)


USE = SummarizeUse()
