"""report.html: one file that shows a training, and the page of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any

from zhixing.jobs.report import Report
from zhixing.pages.charts import Marker, Series, histogram, line_chart
from zhixing.pages.html import Html, side_by_side
from zhixing.pages.page import Section, render_page
from zhixing.pages.tables import code_block, key_values
from zhixing.training.run_plan import RunPlan


def training_page(
    plan: RunPlan,
    record: Mapping[str, Any],
    report: Report | None,
    lines: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    lengths: Sequence[int],
) -> str:
    """Show a run: what it came to, its curves, its mistakes, and the command that made it.

    Args:
        plan: What was asked for.
        record: What was done.
        report: Scores on validation, where there are such rows.
        lines: The run's journal.
        texts: Validation texts, by which mistakes are shown.
        lengths: Tokens of each training text.
    """
    rows = record["rows"]
    subtitle = (
        f"{plan.model} on {rows['training']:,} rows, {record['steps']:,} steps, "
        f"{record['seconds']:,.0f} s"
    )
    first, *details = [None] if report is None else report.sections(texts)
    sections = [first] if first is not None else []
    sections += [_curve_section(lines, plan.recipe.training.metric), *details]
    sections.append(Section("Training texts", [histogram(lengths, x_label="tokens of a text")]))
    sections.append(
        Section(
            "How this was made",
            [code_block(plan.command), _made(record), code_block(_settings(record["recipe"]))],
        )
    )
    return render_page("Training report", subtitle, sections)


def evaluation_page(model: str, data: str, report: Report, texts: Sequence[str]) -> str:
    """Show how a model does on a set."""
    subtitle = f"{model} on {data}, {report.rows:,} rows"
    return render_page("Evaluation report", subtitle, report.sections(texts))


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
