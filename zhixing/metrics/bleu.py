"""Translation metrics: BLEU, chrF and TER against references, as sacreBLEU computes them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from zhixing.errors import DataError
from zhixing.metrics.intervals import Interval
from zhixing.metrics.scripts import is_chinese


@dataclass(frozen=True)
class TextScores:
    """Hold corpus BLEU and chrF, in points from 0 to 100.

    Attributes:
        bleu: BLEU, Papineni et al. 2002, as sacreBLEU 2 computes it.
        chrf: chrF2, Popović 2015.
        bleu_signature, chrf_signature: What decides about the numbers, in sacreBLEU's words.
        bleu_interval, chrf_interval: Where they lie on 95 % of resampled sets, if asked for.
    """

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str
    bleu_interval: Interval | None = None
    chrf_interval: Interval | None = None


@dataclass(frozen=True)
class TextDifference:
    """Compare two systems by paired bootstrap: is one better, or was it merely luckier?

    The p-value is how often a difference so large comes about between systems that are alike.
    """

    metric: str
    score: float
    other: float
    p_value: float

    @property
    def difference(self) -> float:
        """Give how many points the one is ahead."""
        return self.score - self.other


class _PlainFloats:
    """Give scores of one type: sacreBLEU cannot average the zeros among its numpy floats."""

    def _compute_score_from_stats(self, stats: Any) -> Any:
        score = super()._compute_score_from_stats(stats)  # type: ignore[misc]
        score.score = float(score.score)
        return score


class _Bleu(_PlainFloats, BLEU):
    """BLEU with plain floats."""


class _Chrf(_PlainFloats, CHRF):
    """chrF with plain floats."""


def text_scores(
    hypotheses: Sequence[str], references: Sequence[str], *, resamples: int = 0
) -> TextScores:
    """Give BLEU and chrF of hypotheses against one reference each.

    Chinese references are parted into characters, all others by sacreBLEU's usual "13a". Intervals
    are given where `resamples` is not 0.

    Raises:
        DataError: If there are not as many references as texts, or none.

    Source:
        Post 2018, "A call for clarity in reporting BLEU scores", arXiv:1804.08771.
    """
    _check(hypotheses, references)
    # "force" only stills a warning about texts that end in a point set apart.
    bleu = _Bleu(tokenize="zh" if is_chinese(references) else "13a", force=True)
    chrf = _Chrf()
    bleu_score, chrf_score = (
        metric.corpus_score(list(hypotheses), [list(references)], n_bootstrap=resamples or 1)
        for metric in (bleu, chrf)
    )
    return TextScores(
        bleu=bleu_score.score,
        chrf=chrf_score.score,
        bleu_signature=str(bleu.get_signature()),
        chrf_signature=str(chrf.get_signature()),
        bleu_interval=_interval(bleu_score) if resamples else None,
        chrf_interval=_interval(chrf_score) if resamples else None,
    )


def text_differences(
    hypotheses: Sequence[str],
    others: Sequence[str],
    references: Sequence[str],
    *,
    resamples: int = 1000,
) -> list[TextDifference]:
    """Compare BLEU and chrF of two systems on the same texts by paired bootstrap.

    Rows that are hard for both cancel out, so far smaller differences show than by comparing two
    separate intervals.

    Raises:
        DataError: If there are unequally many texts, or none.

    Source:
        Koehn 2004, "Statistical significance tests for machine translation evaluation", as
        sacreBLEU computes it (paired bootstrap).
    """
    _check(hypotheses, references)
    _check(others, references)
    metrics = {
        "bleu": BLEU(
            tokenize="zh" if is_chinese(references) else "13a", force=True, references=[references]
        ),
        "chrf": CHRF(references=[references]),
    }
    systems: list[tuple[str, Sequence[str]]]
    systems = [("baseline", list(others)), ("system", list(hypotheses))]
    test = PairedTest(systems, metrics, references=None, test_type="bs", n_samples=resamples)
    table: Any = test()[1]
    results = [values for name, values in table.items() if name != "System"]
    return [
        TextDifference(
            name,
            float(result.score),
            float(baseline.score),
            # Of equal scores sacreBLEU counts every resampled difference, all 0, as smaller.
            1.0 if result.score == baseline.score else float(result.p_value),
        )
        for name, (baseline, result) in zip(metrics, results, strict=True)
    ]


def _interval(score: Any) -> Interval:
    """Read the interval that sacreBLEU found: the mean of the resampled scores and a half width."""
    middle, half = float(score._mean), float(score._ci)
    return Interval(middle - half, middle + half, 0.95)


def translation_error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Give the translation edit rate (TER): edits a hundred reference words; lower is better.

    Source:
        Snover et al. 2006, "A study of translation edit rate".
    """
    _check(hypotheses, references)
    return float(TER().corpus_score(list(hypotheses), [list(references)]).score)


def lower_cased_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Give the tokenized, lower-cased BLEU of the Multi30k papers.

    Both sides are lower-cased and parted at punctuation, and the words counted as they then
    stand. It runs some points above sacreBLEU's cased one, and compares with those papers alone.
    """
    _check(hypotheses, references)
    sides = ([_parted(text) for text in side] for side in (hypotheses, references))
    left, right = sides
    return float(
        BLEU(tokenize="none", lowercase=True, force=True).corpus_score(left, [right]).score
    )


def _parted(text: str) -> str:
    """Part punctuation from words, as Moses' tokenizer does for French and English."""
    text = re.sub(r"([^\w\s'’.,-])", r" \1 ", text)
    text = re.sub(r"([^\d])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^\d])", r" \1 \2", text)
    text = re.sub(r"(\w)(['’])(\w)", r"\1\2 \3", text)
    return " ".join(re.sub(r"([.,])$", r" \1", text).split())


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references) or not hypotheses:
        raise DataError(
            f"{len(hypotheses)} texts cannot be scored against {len(references)} references; give "
            f"one a text, and at least one"
        )
