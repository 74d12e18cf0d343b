"""The pages of classification: scores, confusion, calibration, errors; attention over a text."""

from collections.abc import Sequence
from typing import Any

from zhixing.jobs.classify.report import ClassificationReport
from zhixing.jobs.pages import attention_sections
from zhixing.pages.bars import Bar, bar_chart, reliability_diagram
from zhixing.pages.heat_map import heat_map
from zhixing.pages.html import paragraph
from zhixing.pages.page import Section
from zhixing.pages.tables import Cell, Quote, code_block, key_values, quote_list, table


def report_sections(report: ClassificationReport, texts: Sequence[str]) -> list[Section]:
    """Show a classifier's scores beside the baselines, then classes, confusions, calibration."""
    return [_score_section(report), *_detail_sections(report, texts)]


def answer_sections(classifier: Any, text: str, pair: str | None) -> list[Section]:
    """Draw the probabilities of a text's labels, and the attention over it."""
    scores = classifier(text, pair).scores
    bars = [Bar(label, score) for label, score in scores.items()]
    return attention_sections(classifier, text, pair, [bar_chart(bars, x_label="probability")])


def _score_section(report: ClassificationReport) -> Section:
    """Show the scores with their intervals, beside the baselines."""
    baseline = report.baseline
    bars = [
        Bar(name.replace("_", " "), claim.value, claim.interval.low, claim.interval.high)
        for name, claim in report.scores.items()
    ]
    if report.majority is not None:
        bars.append(Bar("always the most frequent label", report.majority))
    if baseline is not None:
        bars.append(Bar(f"bag of {baseline.unit}", baseline.accuracy))
    parts = [bar_chart(bars, x_label="score, with its 95 % interval")]
    if baseline is not None:
        gain = baseline.gain
        parts.append(
            paragraph(
                f"Accuracy above the bag of {baseline.unit} by {100 * gain.difference:.1f} points "
                f"(95 % interval {100 * gain.interval.low:.1f} to {100 * gain.interval.high:.1f})."
            )
        )
    read = report.tokens_read / max(report.tokens_given, 1)
    parts.append(
        key_values(
            [
                ("rows", report.rows),
                ("calibration error", report.calibration_error),
                ("temperature", report.temperature),
                ("tokens read", f"{report.tokens_read:,} of {report.tokens_given:,} ({read:.1%})"),
            ]
        )
    )
    parts.append(code_block(report.signature))
    return Section("Scores", parts)


def _detail_sections(report: ClassificationReport, texts: Sequence[str]) -> list[Section]:
    """Show classes, confusions, calibration and the surest mistakes."""
    names = list(report.classes)
    rows: list[list[Cell]] = [
        [name, score.precision, score.recall, score.f1, score.support]
        for name, score in report.classes.items()
    ]
    sections = [Section("Classes", [table(["label", "precision", "recall", "F1", "rows"], rows)])]
    if report.confusion is not None:
        picture = heat_map(
            report.confusion,
            names,
            names,
            row_label="true label",
            column_label="predicted label",
            mark_errors=True,
        )
        sections.append(Section("Confusion", [picture]))
    sections.append(
        Section(
            "Calibration",
            [reliability_diagram(report.bins)],
            "How often the model is right when it says it is so sure. The temperature that its "
            "probabilities are divided by was fitted on validation rows.",
        )
    )
    quotes = [
        Quote(f"{texts[m.index]}  (row {m.row})", m.label, m.predicted, m.confidence)
        for m in report.mistakes
    ]
    if quotes:
        sections.append(Section("Hardest errors", [quote_list(quotes)], "The surest come first."))
    return sections
