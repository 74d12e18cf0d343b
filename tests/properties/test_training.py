import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import make_table
from torch import Tensor

from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.classification import ClassificationTask
from zhixing.tokenization.training import train_tokenizer
from zhixing.training.config import TrainingConfig
from zhixing.training.loop import Run, train

WORDS = ["good", "bad", "fine", "poor", "kind", "rude"]
TEXTS = [" ".join(WORDS[(i * k) % 6] for k in range(1, 3 + (i * 5) % 13)) for i in range(16)]
LABELS = [("a", "b", "c")[i % 3] for i in range(16)]
TOKENIZER = train_tokenizer(TEXTS * 2, kind="wordpiece", vocab_size=60)
TASK = ClassificationTask(
    TOKENIZER, ["a", "b", "c"], max_positions=9, class_weights=[0.5, 1.0, 2.0]
)
EXAMPLES = TASK.encode(make_table(TEXTS, LABELS, rows=list(range(16))))

RANK_SCRIPT = """
import hashlib, json, os, sys
import zhixing.workflows.train as workflow
from zhixing.training.events import Stepped

out, rows, settings = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
rank, losses, inner = os.environ.get("RANK", "alone"), [], workflow.training_steps

def train(run, *, start=None):
    yield from inner(run, start=start)
    digest = hashlib.sha256()
    for parameter in run.model.parameters():
        digest.update(parameter.detach().numpy().tobytes())
    with open(f"{out}-{rank}.json", "w") as file:
        json.dump({"losses": losses, "weights": digest.hexdigest()}, file)

def watch(event):
    if isinstance(event, Stepped):
        losses.append(event.loss)

workflow.training_steps = train
workflow.train(
    "classify", data=rows, out=out, model="new", threads=1, watch=watch, **settings
)
"""


def tiny_model() -> Transformer:
    """Build a model in float64, without dropout."""
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=8,
        encoder_layers=1,
        num_heads=2,
        feed_forward_size=16,
        max_positions=9,
        dropout=0.0,
        attention_dropout=0.0,
        head="classification",
        num_classes=3,
        initial_std=0.3,
    )
    return build(config, seed=4).double()


def make_run(micro_tokens: int, **values: Any) -> Run:
    """Make a run of five steps over rows of one window and of several."""
    chosen = {"batch_size": 8, "max_steps": 5, "learning_rate": 1e-3, "snapshot_minutes": 0.0}
    config = TrainingConfig(**{**chosen, "micro_tokens": micro_tokens, **values})
    return Run(tiny_model(), TASK, EXAMPLES, config, torch.device("cpu"))


def gradients_of(parts: list[list[int]]) -> dict[str, Tensor]:
    """Add up the gradients of some parts of a step, as the loop does."""
    model = tiny_model()
    batches = [TASK.collate([EXAMPLES[row] for row in part]) for part in parts]
    weight = sum(TASK.weight(batch) for batch in batches)
    for batch in batches:
        (TASK.loss(model, batch).total / weight).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(16)), st.sets(st.integers(1, 15), max_size=6))
def test_any_split_of_a_step_gives_the_same_gradient(order: list[int], cuts: set[int]) -> None:
    marks = [0, *sorted(cuts), 16]
    parts = [order[a:b] for a, b in zip(marks, marks[1:], strict=False)]
    whole, split = gradients_of([list(range(16))]), gradients_of(parts)
    assert set(whole) == set(split)
    for name, value in whole.items():
        torch.testing.assert_close(split[name], value, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("micro_tokens", [1, 20, 50])
def test_accumulated_parts_give_the_weights_of_the_big_batch(micro_tokens: int) -> None:
    big, small = make_run(8192), make_run(micro_tokens)
    losses = [[e.loss for e in train(run) if hasattr(e, "loss")] for run in (big, small)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    for (name, one), two in zip(
        big.model.named_parameters(), small.model.parameters(), strict=True
    ):
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-6, msg=name)


@pytest.mark.parametrize("max_grad_norm", [0.0, 0.05, 1e6])
def test_recomputing_gives_the_same_bits(max_grad_norm: float) -> None:
    runs = [
        make_run(20, max_grad_norm=max_grad_norm, gradient_checkpointing=again)
        for again in (False, True)
    ]
    for run in runs:
        list(train(run))
    for one, two in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_seed_gives_its_own_order_and_always_the_same() -> None:
    runs = [make_run(8192, seed=seed) for seed in (0, 0, 1)]
    first, again, other = ([e.loss for e in train(run) if hasattr(e, "loss")] for run in runs)
    assert first == again != other


def test_the_loss_of_a_step_is_the_mean_over_its_weighted_targets() -> None:
    run = replace(make_run(20), config=replace(make_run(20).config, batch_size=16))
    batch = TASK.collate(EXAMPLES)
    expected = float(TASK.loss(run.model, batch).total.detach()) / TASK.weight(batch)
    event = next(e for e in train(run) if hasattr(e, "loss"))
    assert math.isclose(event.loss, expected, rel_tol=1e-9)


def test_two_ranks_compute_what_one_does(tmp_path: Path) -> None:
    # 13 rows in steps of 3: the last step of an epoch has fewer rows than there are ranks.
    rows = [{"text": f"{TEXTS[i]} {i}", "label": LABELS[i % 3]} for i in range(13)]
    chosen = {"new.hidden_size": 16, "new.encoder_layers": 1, "new.num_heads": 2}
    chosen |= {"new.vocab_size": 80, "new.feed_forward_size": 32, "new.dropout": 0.0}
    chosen |= {"epochs": 3, "batch_size": 3, "learning_rate": 1e-3, "data.validation_fraction": 0.0}
    script = tmp_path / "script.py"
    script.write_text(RANK_SCRIPT, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    words = [json.dumps(rows), json.dumps(chosen)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, launcher in (("one", []), ("two", torchrun)):
        result = subprocess.run(
            [sys.executable, *launcher, str(script), str(tmp_path / name), *words],
            capture_output=True,
            text=True,
            env=environment,
            timeout=240,
        )
        assert result.returncode == 0, result.stderr
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    alone, first, second = found["one-alone"], found["two-0"], found["two-1"]
    assert len(alone["losses"]) == 15
    # The second rank keeps silent, and holds the same weights.
    assert second["losses"] == []
    assert first["weights"] == second["weights"]
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert (tmp_path / "two" / "model.safetensors").exists()
