"""The pages of classification: scores, confusion, calibration, errors; attention over a text."""

from collections.abc import Sequence
from typing import Any

from zhixing.inspection.attention import attention_of, rollout
from zhixing.jobs.classify.report import ClassificationReport
from zhixing.pages.bars import Bar, bar_chart, reliability_diagram
from zhixing.pages.heat_map import HeatMap, heat_map, heat_maps
from zhixing.pages.html import Html, paragraph
from zhixing.pages.page import Section
from zhixing.pages.tables import Cell, Quote, code_block, key_values, quote_list, table
from zhixing.tasks.inference import unlabelled_table

# So many tokens are drawn.
MAX_TOKENS_DRAWN = 64


def report_sections(report: ClassificationReport, texts: Sequence[str]) -> list[Section]:
    """Show a classifier's scores beside the baselines, then classes, confusions, calibration."""
    return [_score_section(report), *_detail_sections(report, texts)]


def attention_sections(classifier: Any, text: str, pair: str | None) -> list[Section]:
    """Draw the attention of every layer and head over one text, beside what the model says.

    A text of more than 64 tokens has its first 64 drawn, and the page says so.
    """
    result = classifier(text, pair)
    example = classifier.encode(unlabelled_table([text], None if pair is None else [pair]))[0]
    layers = attention_of(classifier.model, example)
    ids = example.windows[0].input_ids.tolist()
    names = [classifier.pretrained.tokenizer.piece(i) for i in ids[:MAX_TOKENS_DRAWN]]
    shown = len(names)
    note = "" if shown == len(ids) else f"The first {shown} of {len(ids)} tokens are drawn."
    bars = [Bar(label, score) for label, score in result.scores.items()]
    answer: list[Html] = [code_block(text), bar_chart(bars, x_label="probability")]
    if result.coverage.read < result.coverage.total:
        answer.append(paragraph(f"{result.coverage.read} of {result.coverage.total} tokens read."))
    flow = rollout(layers)[:shown, :shown].tolist()
    sections = [
        Section("What the model says", answer),
        Section(
            "Attention through all layers",
            [heat_map(flow, names, names, row_label="output", column_label="input")],
            "Rollout: how much of each input position reaches each output position. " + note,
        ),
    ]
    for number, weights in enumerate(layers):
        maps = [
            HeatMap(f"head {head}", weights[head, :shown, :shown].tolist())
            for head in range(len(weights))
        ]
        drawn = heat_maps(maps, names, names, row_label="reads", column_label="is read")
        sections.append(Section(f"Layer {number}", [drawn]))
    return sections


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
