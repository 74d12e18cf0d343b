"""report.html: one file that shows a training, and the page of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from zhixing.evaluation.bag_of_words import Baseline
from zhixing.jobs.classify.report import ClassificationReport
from zhixing.jobs.sequence_to_sequence.report import TextReport
from zhixing.pages.bars import Bar, bar_chart, reliability_diagram
from zhixing.pages.charts import Marker, Series, histogram, line_chart
from zhixing.pages.heat_map import heat_map
from zhixing.pages.html import Html, paragraph, side_by_side
from zhixing.pages.page import Section, render_page
from zhixing.pages.tables import Cell, Quote, code_block, key_values, quote_list, table
from zhixing.training.run_plan import RunPlan


def training_page(
    plan: RunPlan,
    record: Mapping[str, Any],
    report: ClassificationReport | TextReport | None,
    baseline: Baseline | None,
    lines: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    lengths: Sequence[int],
) -> str:
    """Show a run: what it came to, its curves, its mistakes, and the command that made it.

    Args:
        plan: What was asked for.
        record: What was done.
        report: Scores on validation, where there are such rows.
        baseline: Counting words, where it was computed.
        lines: The run's journal.
        texts: Validation texts, by which mistakes are shown.
        lengths: Tokens of each training text.
    """
    rows = record["rows"]
    subtitle = (
        f"{plan.model} on {rows['training']:,} rows, {record['steps']:,} steps, "
        f"{record['seconds']:,.0f} s"
    )
    sections = []
    if isinstance(report, ClassificationReport):
        sections.append(score_section(report, baseline))
    elif report is not None:
        sections.append(text_score_section(report))
    sections.append(_curve_section(lines, plan.recipe.training.metric))
    if isinstance(report, ClassificationReport):
        sections += detail_sections(report, texts)
    elif report is not None:
        sections.append(worst_section(report))
    sections.append(Section("Training texts", [histogram(lengths, x_label="tokens of a text")]))
    sections.append(
        Section(
            "How this was made",
            [code_block(plan.command), _made(record), code_block(_settings(record["recipe"]))],
        )
    )
    return render_page("Training report", subtitle, sections)


def evaluation_page(
    model: str, data: str, report: ClassificationReport | TextReport, texts: Sequence[str]
) -> str:
    """Show how a model does on a set."""
    subtitle = f"{model} on {data}, {report.rows:,} rows"
    if isinstance(report, TextReport):
        pairs = [text_score_section(report), worst_section(report)]
        return render_page("Evaluation report", subtitle, pairs)
    sections = [score_section(report, None), *detail_sections(report, texts)]
    return render_page("Evaluation report", subtitle, sections)


def score_section(report: ClassificationReport, baseline: Baseline | None) -> Section:
    """Show the scores with their intervals, beside the baselines."""
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


def text_score_section(report: TextReport) -> Section:
    """Show the scores of written texts with their intervals."""
    bars = [
        Bar(name, claim.value, claim.interval.low, claim.interval.high)
        for name, claim in report.scores.items()
    ]
    facts: list[tuple[str, str | float]] = [
        ("texts", report.rows),
        ("TER", report.error_rate),
        ("tokenized lower-cased BLEU", report.lower_cased_bleu),
        ("length, of the references'", f"{report.length_ratio:.1%}"),
        ("cut at the longest length", report.cut),
    ]
    signatures = f"{report.bleu_signature}\n{report.signature}"
    chart = bar_chart(bars, x_label="points, with their 95 % interval")
    return Section("Scores", [chart, key_values(facts), code_block(signatures)])


def worst_section(report: TextReport) -> Section:
    """Show texts side by side with their references, the least alike first."""
    rows: list[list[Cell]] = [
        [pair.row, pair.chrf, pair.source, pair.written, pair.reference] for pair in report.worst
    ]
    names = ["row", "chrF", "source", "written", "reference"]
    return Section("Least like their references", [table(names, rows)])


def detail_sections(report: ClassificationReport, texts: Sequence[str]) -> list[Section]:
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


def _curve_section(lines: Sequence[Mapping[str, Any]], metric: str | None) -> Section:
    steps = [line for line in lines if line["event"] == "step"]
    tests = [line for line in lines if line["event"] == "evaluation"]
    at = [float(line["step"]) for line in steps]
    losses = [Series("training loss", at, _smoothed([float(line["loss"]) for line in steps]))]
    parts: list[Html] = []
    if tests:
        tested = [float(line["step"]) for line in tests]
        values = [float(line["scores"]["loss"]) for line in tests]
        losses.append(Series("validation loss", tested, values))
        known = [name for name in tests[0]["scores"] if name != "loss"]
        name = next((name for name in known if name == metric), known[0])
        scores = [float(line["scores"][name]) for line in tests]
        best = [line for line in tests if line["is_best"]][-1]
        marker = Marker(float(best["step"]), float(best["scores"][name]), "kept")
        parts.append(
            line_chart(
                [Series(name, tested, scores)],
                x_label="step",
                y_label=f"validation {name}",
                markers=[marker],
            )
        )
    parts.insert(0, line_chart(losses, x_label="step", y_label="loss"))
    rates = [Series("learning_rate", at, [float(line["learning_rate"]) for line in steps])]
    norms = [Series("norm", at, [float(line["gradient_norm"]) for line in steps])]
    small = [
        line_chart(rates, x_label="step", y_label="learning rate"),
        line_chart(norms, x_label="step", y_label="gradient norm"),
    ]
    return Section(
        "Curves",
        [*parts, side_by_side(small)],
        "The training loss is a running mean with a memory of about 20 steps.",
    )


def _smoothed(values: Sequence[float]) -> list[float]:
    """Average each value with those before it, forgetting by 5 % a step."""
    smooth: list[float] = []
    total = weight = 0.0
    for value in values:
        total, weight = 0.95 * total + value, 0.95 * weight + 1.0
        smooth.append(total / weight)
    return smooth


def _made(record: Mapping[str, Any]) -> Html:
    machine = record["machine"]
    pairs: list[tuple[str, str | float]] = [
        (f"{role} rows (SHA-256)", value) for role, value in record["data"].items()
    ]
    pairs += [
        ("steps", f"{record['steps']:,}, the kept weights from step {record['best_step']:,}"),
        (
            "tokens",
            f"{record['tokens']:,} ({record['tokens'] / max(record['seconds'], 1e-9):,.0f}/s)",
        ),
        ("zhixing", record["zhixing"]),
        ("torch", machine["torch"]),
        ("threads", machine["threads"]),
        ("processor", machine["cpu"]),
    ]
    return key_values(pairs)


def _settings(recipe: Mapping[str, Any], prefix: str = "") -> str:
    """Write a recipe as the words that would set it."""
    lines = []
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            lines.append(_settings(value, f"{prefix}{key}."))
        else:
            lines.append(f"{prefix}{key}={value}")
    return "\n".join(lines)
