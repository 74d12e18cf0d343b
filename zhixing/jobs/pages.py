"""The page sections that serve any job: scores with their intervals, attention over a text."""

from collections.abc import Sequence
from typing import Any

from zhixing.data.table import unlabelled_table
from zhixing.inspection.attention import attention_of, rollout
from zhixing.jobs.report import Report
from zhixing.pages.bars import Bar, bar_chart
from zhixing.pages.heat_map import HeatMap, heat_map, heat_maps
from zhixing.pages.html import Html, paragraph
from zhixing.pages.page import Section
from zhixing.pages.tables import code_block

# So many tokens are drawn.
MAX_TOKENS_DRAWN = 64


def score_sections(report: Report, _: Sequence[str]) -> list[Section]:
    """Show the scores with their intervals, and the signature."""
    bars = [
        Bar(name.replace("_", " "), claim.value, claim.interval.low, claim.interval.high)
        for name, claim in report.scores.items()
    ]
    chart = bar_chart(bars, x_label="score, with its 95 % interval")
    return [Section("Scores", [chart, code_block(report.signature)])]


def attention_sections(
    model: Any, text: str, pair: str | None, answer: Sequence[Html] = ()
) -> list[Section]:
    """Draw the attention of every layer and head over one text, beside what the model says.

    A text of more than 64 tokens has its first 64 drawn, and the page says so.

    Args:
        model: Opened; it reads texts.
        text: To look at.
        pair: A second text.
        answer: How its result is shown; as plain values if unsaid.
    """
    example = model.encode(unlabelled_table([text], None if pair is None else [pair]))[0]
    layers = attention_of(model.model, example)
    ids = example.windows[0].input_ids.tolist()
    names = [model.pretrained.tokenizer.piece(i) for i in ids[:MAX_TOKENS_DRAWN]]
    shown = len(names)
    note = "" if shown == len(ids) else f"The first {shown} of {len(ids)} tokens are drawn."
    said = [code_block(text), *(answer or [code_block(str(model(text, pair).to_dict()))])]
    if example.tokens_read < example.tokens_given:
        said.append(paragraph(f"{example.tokens_read} of {example.tokens_given} tokens read."))
    flow = rollout(layers)[:shown, :shown].tolist()
    sections = [
        Section("What the model says", said),
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
