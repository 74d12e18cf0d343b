"""Look at what a model does with one text: one page that opens without a network."""

from pathlib import Path

from zhixing.checkpoints.files import write_text
from zhixing.inspection.attention import attention_of, rollout
from zhixing.pages.bars import Bar, bar_chart
from zhixing.pages.heat_map import HeatMap, heat_map, heat_maps
from zhixing.pages.html import Html, paragraph
from zhixing.pages.page import Section, render_page
from zhixing.pages.tables import code_block
from zhixing.tasks.classifier import Classifier
from zhixing.tasks.inference import unlabelled_table

MOST_TOKENS = 64


def inspect(pipeline: Classifier, text: str, out: str | Path, *, pair: str | None = None) -> Path:
    """Draw the attention of every layer and head over one text, beside what the model says.

    A text of more than 64 tokens has its first 64 drawn, and the page says so.

    Raises:
        FileError: If the page cannot be written.
    """
    result = pipeline(text, pair)
    example = pipeline.encode(unlabelled_table([text], None if pair is None else [pair]))[0]
    layers = attention_of(pipeline.model, example)
    ids = example.windows[0].input_ids.tolist()
    names = [pipeline.pretrained.tokenizer.piece(i) for i in ids[:MOST_TOKENS]]
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
    page = render_page("Attention", " ".join(text.split())[:80], sections)
    write_text(Path(out), page)
    return Path(out)
