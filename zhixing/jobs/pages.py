"""The page sections that serve any report: scores as bars with their intervals."""

from collections.abc import Sequence

from zhixing.jobs.report import Report
from zhixing.pages.bars import Bar, bar_chart
from zhixing.pages.page import Section
from zhixing.pages.tables import code_block


def score_sections(report: Report, _: Sequence[str]) -> list[Section]:
    """Show the scores with their intervals, and the signature."""
    bars = [
        Bar(name.replace("_", " "), claim.value, claim.interval.low, claim.interval.high)
        for name, claim in report.scores.items()
    ]
    chart = bar_chart(bars, x_label="score, with its 95 % interval")
    return [Section("Scores", [chart, code_block(report.signature)])]
