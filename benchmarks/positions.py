"""What is position information worth? The same small encoder with six kinds of it, and with none.

    python -m benchmarks.positions

Two questions about rows of 8 to 16 letters that a bag of letters cannot answer: which of "a" and
"b", each there once, comes first (order over any distance), and whether "c" stands directly before
"d", both being there (order of neighbours). Scored on fresh rows of the trained lengths, and on
rows of 24 to 32 letters. Leaves a table and a picture.
"""

import argparse
import random
import statistics
from pathlib import Path
from typing import get_args

import torch
from torch.nn import functional

from benchmarks.runs import write_result
from zhixing.layers.positions import PositionKind
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build
from zhixing.pages.bars import Bar, bar_chart
from zhixing.pages.html import side_by_side
from zhixing.pages.page import Section, render_page
from zhixing.pages.tables import Cell, table

TRAINED, LONGER = (8, 16), (24, 32)
LETTERS = 26
ROWS, BATCH = 2000, 64
PICTURE = Path(__file__).parent.parent / "docs" / "positions.html"
QUESTIONS = {"first": "which comes first", "neighbour": "are they neighbours"}


def make_row(question: str, draw: random.Random, lengths: tuple[int, int]) -> tuple[list[int], int]:
    """Make one row of letters, 1 to 26 with a start mark 0, and the answer; both are even."""
    size = draw.randint(*lengths)
    row = [draw.randint(5, LETTERS) for _ in range(size)]
    answer = draw.randint(0, 1)
    if question == "first":
        early, late = sorted(draw.sample(range(size), 2))
        row[early], row[late] = (1, 2) if answer else (2, 1)
    elif answer:
        place = draw.randint(0, size - 2)
        row[place], row[place + 1] = 3, 4
    else:
        before, after = _apart(draw, size)
        row[before], row[after] = 3, 4
    return [0, *row], answer


def _apart(draw: random.Random, size: int) -> tuple[int, int]:
    """Draw two places of which the second does not directly follow the first."""
    while True:
        first, second = draw.sample(range(size), 2)
        if second != first + 1:
            return first, second


def make_batch(
    question: str, draw: random.Random, lengths: tuple[int, int], count: int
) -> tuple[Ragged, torch.Tensor]:
    """Make some rows and their answers."""
    rows = [make_row(question, draw, lengths) for _ in range(count)]
    ids = Ragged.of(torch.tensor(row) for row, _ in rows)
    return ids, torch.tensor([answer for _, answer in rows])


def train(kind: PositionKind, question: str, *, seed: int, steps: int) -> Transformer:
    """Train the encoder with one kind of positions."""
    config = ModelConfig(
        vocab_size=LETTERS + 1,
        hidden_size=64,
        encoder_layers=2,
        num_heads=4,
        feed_forward_size=128,
        norm="pre",
        norm_eps=1e-6,
        positions=kind,
        max_positions=LONGER[1] + 1,
        convolution_width=3,
        embedding_norm=False,
        dropout=0.0,
        head="classification",
        num_classes=2,
    )
    model = build(config, seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)
    draw = random.Random(seed)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((step + 1) / 50, (steps - step) / steps)
        ids, answers = make_batch(question, draw, TRAINED, BATCH)
        loss = functional.cross_entropy(model.classify(ids), answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@torch.no_grad()
def score(model: Transformer, question: str, lengths: tuple[int, int]) -> float:
    """Score on fresh rows, the same for every model."""
    ids, answers = make_batch(question, random.Random(10_000), lengths, ROWS)
    return float((model.classify(ids).argmax(-1) == answers).double().mean())


def main() -> None:
    """Train every kind, write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    for kind in get_args(PositionKind):
        scores: dict[str, list[float]] = {}
        for question in QUESTIONS:
            for seed in range(args.seeds):
                model = train(kind, question, seed=seed, steps=args.steps)
                for name, lengths in (("trained", TRAINED), ("longer", LONGER)):
                    value = score(model, question, lengths)
                    scores.setdefault(f"{question}, {name} lengths", []).append(value)
        found[kind] = scores
        print(kind, {key: round(statistics.mean(v), 3) for key, v in scores.items()}, flush=True)
    command = f"python -m benchmarks.positions --steps {args.steps} --seeds {args.seeds}"
    print(write_result("positions", command, {"accuracy": found}))
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(found, command), encoding="utf-8")


def picture(found: dict[str, dict[str, list[float]]], command: str) -> str:
    """Draw the scores, each with its lowest and highest seed."""
    names = list(next(iter(found.values())))
    charts = [
        bar_chart(
            [
                Bar(kind, statistics.mean(s[name]), min(s[name]), max(s[name]))
                for kind, s in found.items()
            ],
            x_label="accuracy",
            title=name,
        )
        for name in names
    ]
    rows: list[list[Cell]] = [
        [kind, *(statistics.mean(scores[name]) for name in names)] for kind, scores in found.items()
    ]
    sections = [
        Section("Accuracy", [side_by_side(charts[:2]), side_by_side(charts[2:])], "Guessing: 0.5."),
        Section("Table", [table(["positions", *names], rows)], command),
    ]
    return render_page("What position information is worth", __doc__.splitlines()[0], sections)


if __name__ == "__main__":
    main()
