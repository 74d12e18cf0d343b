"""The pages of models that write: scores, the least alike texts; cross-attention over a text."""

from collections.abc import Sequence

import torch

from zhixing.jobs.pages import MAX_TOKENS_DRAWN
from zhixing.jobs.sequence_to_sequence.report import TextReport
from zhixing.jobs.sequence_to_sequence.use import WritingModel
from zhixing.pages.bars import Bar, bar_chart
from zhixing.pages.heat_map import heat_map
from zhixing.pages.page import Section
from zhixing.pages.tables import Cell, code_block, key_values, table
from zhixing.tasks.cross_attention import cross_attention
from zhixing.tasks.scoring import forced_examples
from zhixing.tasks.sequence_to_sequence import target_ids


def report_sections(report: TextReport, _: Sequence[str]) -> list[Section]:
    """Show the scores of written texts, and the least alike beside their references."""
    return [_score_section(report), _worst_section(report)]


@torch.inference_mode()
def cross_attention_sections(
    model: WritingModel, text: str, pair: str | None = None
) -> list[Section]:
    """Draw what the decoder attends to in a text while it writes, token by token.

    Raises:
        DataError: If the text is longer than the model reads at once.
    """
    (written,), _ = model.write_about([text])
    (example,) = forced_examples(model.task, [text], [written])
    batch = model.task.collate([example]).to(model.device)
    (weights,) = cross_attention(model.model, model.task, batch)
    source, target = model.text_format.source, model.text_format.target
    read = [source.piece(i) for i in example.windows[0].input_ids.tolist()][:MAX_TOKENS_DRAWN]
    pieces = [target.piece(i) for i in target_ids(example).tolist()][:MAX_TOKENS_DRAWN]
    shares = weights[: len(pieces), : len(read)].tolist()
    picture = heat_map(shares, pieces, read, row_label="written", column_label="read")
    return [
        Section("What the model writes", [code_block(text), code_block(written)]),
        Section(
            "Cross-attention",
            [picture],
            "Which tokens of the source each written token attends to: the mean of all heads of "
            "the last layer but one, in one pass over the finished text.",
        ),
    ]


def _score_section(report: TextReport) -> Section:
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


def _worst_section(report: TextReport) -> Section:
    """Show texts side by side with their references, the least alike first."""
    rows: list[list[Cell]] = [
        [pair.row, pair.chrf, pair.source, pair.written, pair.reference] for pair in report.worst
    ]
    names = ["row", "chrF", "source", "written", "reference"]
    return Section("Least like their references", [table(names, rows)])
