"""Summarization: a whole text in, its summary out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

from zhixing.data.table import checked_text
from zhixing.data.windows import Coverage
from zhixing.generation.degeneration import is_loop
from zhixing.tasks.options import option
from zhixing.tasks.writer import TextWriter


@dataclass(frozen=True)
class Summary:
    """What a text became.

    Attributes:
        text: The summary.
        score: Mean log-probability of a token.
        coverage: Tokens read, of those given.
        flags: What a reader should know: "loop", "cut" (it did not end by itself).
    """

    text: str
    score: float
    coverage: Coverage
    flags: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return asdict(self)


@dataclass(frozen=True)
class SummarizeOptions:
    """Say how texts are summarized; None leaves what the model's folder says.

    Attributes:
        num_beams: Hypotheses that are followed.
        length_penalty: See `SearchSettings`.
        max_new_tokens: Longest summary in tokens.
    """

    num_beams: int | None = option(None, "Beams to follow.", flag="beams")
    length_penalty: float | None = option(None, "Above 1 for longer summaries, below for shorter.")
    max_new_tokens: int | None = option(None, "Longest summary in tokens.")


class Summarizer(TextWriter):
    """Summarize texts that fit the model, each as a whole, never sentence by sentence."""

    @overload
    def __call__(
        self, texts: str, *, options: SummarizeOptions = SummarizeOptions()
    ) -> Summary: ...

    @overload
    def __call__(
        self, texts: list[str] | tuple[str, ...], *, options: SummarizeOptions = SummarizeOptions()
    ) -> list[Summary]: ...

    def __call__(
        self,
        texts: str | list[str] | tuple[str, ...],
        *,
        options: SummarizeOptions = SummarizeOptions(),
    ) -> Summary | list[Summary]:
        """Summarize one text, or a list in order.

        Raises:
            DataError: If a text is not a string, or is longer than the model reads.
        """
        if isinstance(texts, str):
            return self.summarize([checked_text(texts, "texts")], options)[0]
        return self.summarize([checked_text(text, "texts") for text in texts], options)

    def summarize(
        self, texts: Sequence[str], options: SummarizeOptions = SummarizeOptions()
    ) -> list[Summary]:
        """Summarize texts, those of like length side by side; a blank one has a blank summary."""
        settings = self.text_format.settings.changed(num_results=1)
        if options.num_beams is not None:
            settings = settings.with_beams(options.num_beams)
        if options.length_penalty is not None:
            settings = settings.changed(length_penalty=options.length_penalty)
        if options.max_new_tokens is not None:
            settings = settings.changed(max_new_tokens=options.max_new_tokens)
        all_ids = self.text_format.source.ids(list(texts))
        rows = [row for row, ids in enumerate(all_ids) if ids]
        examples = [
            self.task.fitting_example(
                all_ids[row],
                row=row + 1,
                name=f"text {row + 1}",
                remedy="longer texts are not summarized yet: give parts of it",
            )
            for row in rows
        ]
        summaries = [Summary("", 0.0, Coverage(0, 0), ()) for _ in texts]
        for row, hypotheses in zip(rows, self.generate(self.task, examples, settings), strict=True):
            best, count = hypotheses[0], len(all_ids[row])
            flags = [name for name, is_so in (("loop", is_loop(best.ids, all_ids[row])),) if is_so]
            flags += [] if best.has_ended else ["cut"]
            score = sum(best.log_probs) / max(len(best.log_probs), 1)
            text = self.text_format.text(best.ids)
            summaries[row] = Summary(text, score, Coverage(count, count), tuple(flags))
        return summaries
