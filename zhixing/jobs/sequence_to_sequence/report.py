"""Written texts beside their references: scores with intervals, lengths, loops, the worst first."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sacrebleu.metrics.chrf import CHRF

from zhixing.evaluation.claims import RESAMPLES, Claim, Origin, signature_of
from zhixing.metrics.bleu import (
    TextDifference,
    lower_cased_bleu,
    text_differences,
    text_scores,
    translation_error_rate,
)
from zhixing.metrics.intervals import Interval

WORST = 50


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
class TextReport:
    """Hold all that is known of a model that writes, on a set.

    Attributes:
        rows: How many texts.
        scores: Metric name to score; the first is the task's own.
        error_rate: TER.
        lower_cased_bleu: As the Multi30k papers have it.
        length_ratio: Characters written by characters of the references.
        cut: Texts that had to be cut at the longest length allowed.
        worst: Pairs, the least alike first.
        signature: What the scores are claims about.
        bleu_signature: SacreBLEU's own.
        against: Differences from another model on the same rows, where one was named.
    """

    rows: int
    scores: dict[str, Claim]
    error_rate: float
    lower_cased_bleu: float
    length_ratio: float
    cut: int
    worst: list[Pair]
    signature: str
    bleu_signature: str
    against: list[TextDifference] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as they stand in JSON."""
        return asdict(self)


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
        worst=sorted(pairs, key=lambda pair: pair.chrf)[:WORST],
        signature=signature,
        bleu_signature=scores.bleu_signature,
        against=[] if others is None else text_differences(written, others, references),
    )
