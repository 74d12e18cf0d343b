"""Report of written texts beside references: BLEU, chrF and TER with intervals, the worst first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sacrebleu.metrics.chrf import CHRF

from zhixing.checkpoints.fingerprint import model_hash
from zhixing.data.table import Table
from zhixing.evaluation.claims import RESAMPLES, Claim, Origin, signature_of
from zhixing.jobs.report import Agreement, Line, Report
from zhixing.jobs.sequence_to_sequence.use import WritingModel
from zhixing.metrics.bleu import (
    TextDifference,
    lower_cased_bleu,
    text_differences,
    text_scores,
    translation_error_rate,
)
from zhixing.metrics.intervals import Interval
from zhixing.version import __version__

MAX_WORST = 50


@dataclass(frozen=True)
class Pair:
    """A text that was written, beside what it should have been.

    Attributes:
        row: Its number in the source.
        source: What was read.
        written: By the model.
        reference: By a person.
        chrf: How alike the two are, in points.
    """

    row: int
    source: str
    written: str
    reference: str
    chrf: float


@dataclass(frozen=True)
class TextReport(Report):
    """Hold all that is known of a model that writes, on a set.

    Attributes:
        error_rate: TER.
        lower_cased_bleu: As the Multi30k papers have it.
        length_ratio: Characters written by characters of the references.
        cut: Texts that had to be cut at the longest length allowed.
        worst: Pairs, the least alike first.
        bleu_signature: SacreBLEU's own.
        against: Differences from another model on the same rows, where one was named.
    """

    error_rate: float
    lower_cased_bleu: float
    length_ratio: float
    cut: int
    worst: list[Pair]
    bleu_signature: str
    against: list[TextDifference] = field(default_factory=list)

    pages: ClassVar[str] = "zhixing.jobs.sequence_to_sequence.pages:report_sections"
    digits: ClassVar[int] = 1

    def kept(self) -> dict[str, Any]:
        """Give what a model's card keeps, what it was held against among it."""
        kept = super().kept()
        for difference in self.against:
            kept[difference.metric] |= {"before": difference.other, "p_value": difference.p_value}
        return {**kept, "sacrebleu": self.bleu_signature}

    def lines(self) -> list[Line]:
        """Give scores, lengths and differences as lines of a terminal."""
        told = f"TER {self.error_rate:.1f}; length {self.length_ratio:.0%} of the references'"
        lines = [*self.score_lines(), (f"{told}; {self.cut} of {self.rows} texts cut", "")]
        for difference in self.against:
            said = f"against {difference.other:.1f} (p = {difference.p_value:.3f})"
            lines.append((f"{difference.metric:<20}{difference.difference:+7.1f}  {said}", ""))
        return [*lines, (self.bleu_signature, "dim"), (self.signature, "dim")]


@dataclass(frozen=True)
class TextAgreement(Agreement):
    """Say how far another precision moved what a model writes about some rows.

    Attributes:
        same_text: Share about which the same was written, to the letter.
        bleu_before, bleu_after: Where the rows have targets, else None.
        chrf_before, chrf_after: The same.
    """

    same_text: float
    bleu_before: float | None
    bleu_after: float | None
    chrf_before: float | None
    chrf_after: float | None

    def lines(self) -> list[Line]:
        """Give lines of a terminal."""
        lines = [(f"{self.rows:,} rows: the same text about {self.same_text:.2%}", "")]
        for name, before, after in (
            ("BLEU", self.bleu_before, self.bleu_after),
            ("chrF", self.chrf_before, self.chrf_after),
        ):
            if before is not None and after is not None:
                lines.append((f"{name} {before:.2f} before, {after:.2f} after", ""))
        return lines


def score_texts(
    model: WritingModel, table: Table, *, against: WritingModel | None, seed: int
) -> TextReport:
    """Let a model write about all rows as it does for a person, and score every one of them."""
    texts, cut = model.write_about(table.texts)
    return evaluate_texts(
        table.texts,
        texts,
        table.targets or [],
        rows=table.rows,
        cut=cut,
        origin=Origin(table.fingerprint(), model_hash(model.model), __version__, seed),
        others=None if against is None else against.write_about(table.texts)[0],
    )


def text_agreement(model: WritingModel, other: WritingModel, table: Table) -> TextAgreement:
    """Let two models write about the same rows, searching alike."""
    first, second = (each.write_about(table.texts)[0] for each in (model, other))
    bleu: list[float | None] = [None, None]
    chrf: list[float | None] = [None, None]
    if table.targets is not None:
        scores = [text_scores(texts, table.targets) for texts in (first, second)]
        bleu, chrf = [each.bleu for each in scores], [each.chrf for each in scores]
    return TextAgreement(
        rows=len(table),
        data=table.fingerprint(),
        version=__version__,
        same_text=sum(a == b for a, b in zip(first, second, strict=True)) / len(table),
        bleu_before=bleu[0],
        bleu_after=bleu[1],
        chrf_before=chrf[0],
        chrf_after=chrf[1],
    )


def evaluate_texts(
    sources: Sequence[str],
    written: Sequence[str],
    references: Sequence[str],
    *,
    rows: Sequence[int],
    cut: int,
    origin: Origin,
    others: Sequence[str] | None = None,
) -> TextReport:
    """Score what a model wrote.

    Args:
        sources: What it read.
        written: What it wrote.
        references: What it should have written.
        rows: Numbers of the rows.
        cut: How many texts did not end by themselves.
        origin: What the scores are claims about.
        others: What another model wrote about the same rows, to be held against it.
    """
    scores = text_scores(written, references, resamples=RESAMPLES)
    nowhere = Interval(scores.bleu, scores.bleu, 0.95)
    alike = CHRF()
    pairs = [
        Pair(row, source, text, reference, alike.sentence_score(text, [reference]).score)
        for row, source, text, reference in zip(rows, sources, written, references, strict=True)
    ]
    signature = signature_of("bleu", len(pairs), origin)
    return TextReport(
        rows=len(pairs),
        scores={
            "bleu": Claim(scores.bleu, scores.bleu_interval or nowhere),
            "chrf": Claim(scores.chrf, scores.chrf_interval or nowhere),
        },
        error_rate=translation_error_rate(written, references),
        lower_cased_bleu=lower_cased_bleu(written, references),
        length_ratio=sum(map(len, written)) / max(sum(map(len, references)), 1),
        cut=cut,
        worst=sorted(pairs, key=lambda pair: pair.chrf)[:MAX_WORST],
        signature=signature,
        bleu_signature=scores.bleu_signature,
        against=[] if others is None else text_differences(written, others, references),
    )
