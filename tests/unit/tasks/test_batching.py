import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from tables import make_table
from torch import Tensor

from zhixing.data.batch import Batch
from zhixing.errors import ConfigError
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build
from zhixing.tasks.classification import ClassificationTask
from zhixing.tasks.inference import logits_of, mixed_precision, resolved
from zhixing.tokenization.training import train_tokenizer

WORDS = ["good", "bad", "kind", "rude", "fine"]
TEXTS = [" ".join(WORDS[(i + k) % 5] for k in range(1 + (i * 7) % 23)) for i in range(20)]
TOKENIZER = train_tokenizer(TEXTS, kind="wordpiece", vocab_size=60)
TASK = ClassificationTask(TOKENIZER, ["a", "b", "c"], max_positions=12)
EXAMPLES = TASK.encode(make_table(TEXTS, rows=list(range(20))))
CPU = torch.device("cpu")
ROOT = Path(__file__).parents[3]


def tiny_model() -> Transformer:
    """Build a model in float32."""
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=8,
        encoder_layers=2,
        num_heads=2,
        feed_forward_size=16,
        max_positions=12,
        head="classification",
        num_classes=3,
        initial_std=0.5,
    )
    return build(config, seed=3)


def test_logits_come_in_the_order_of_the_examples() -> None:
    model = tiny_model()
    together = logits_of(model, TASK, EXAMPLES, device=CPU)
    for row, example in enumerate(EXAMPLES):
        alone = logits_of(model, TASK, [example], device=CPU)[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-5, atol=1e-5)
    back = logits_of(model, TASK, EXAMPLES[::-1], device=CPU).flip(0)
    torch.testing.assert_close(together, back, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("budget", [1, 30, 100, 10**6])
def test_any_budget_of_tokens_gives_the_same(budget: int) -> None:
    model = tiny_model()
    expected = logits_of(model, TASK, EXAMPLES, device=CPU)
    found = logits_of(model, TASK, EXAMPLES, device=CPU, tokens_per_batch=budget)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_result_is_float32_and_the_model_is_left_as_it_was() -> None:
    model = tiny_model()
    found = logits_of(model, TASK, EXAMPLES, device=CPU)
    assert found.dtype == torch.float32 and found.shape == (20, 3)
    assert not found.requires_grad
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_a_model_that_has_predicted_can_be_trained_on_the_same_texts() -> None:
    model = tiny_model()
    logits_of(model, TASK, EXAMPLES, device=CPU)
    TASK.logits(model, TASK.collate(EXAMPLES)).sum().backward()
    assert model.embedding.tokens.weight.grad is not None


def test_no_examples_give_no_rows() -> None:
    assert logits_of(tiny_model(), TASK, [], device=CPU).shape == (0, 3)


def test_progress_is_told_every_token_once() -> None:
    told: list[int] = []
    logits_of(tiny_model(), TASK, EXAMPLES, device=CPU, tokens_per_batch=40, progress=told.append)
    assert len(told) > 1
    assert sum(told) == sum(example.num_tokens for example in EXAMPLES)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_narrow_precision_stays_near(precision: str) -> None:
    model = tiny_model()
    expected = logits_of(model, TASK, EXAMPLES, device=CPU)
    found = logits_of(model, TASK, EXAMPLES, device=CPU, precision=precision)
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1)


def test_bfloat16_on_a_cpu_is_a_setting_that_is_taken_back() -> None:
    before = torch.get_float32_matmul_precision()
    with pytest.raises(KeyError), mixed_precision(CPU, "bfloat16"):
        assert torch.get_float32_matmul_precision() == "medium"
        raise KeyError
    assert torch.get_float32_matmul_precision() == before


def test_float32_changes_nothing() -> None:
    before = torch.get_float32_matmul_precision()
    with mixed_precision(CPU, "float32"):
        assert torch.get_float32_matmul_precision() == before
        assert not torch.is_autocast_enabled("cpu")


def test_an_unknown_precision_is_told_with_the_known() -> None:
    with pytest.raises(ConfigError) as caught:
        resolved("float8", CPU)
    assert str(caught.value) == (
        "precision is 'float8'; allowed are auto, float32, bfloat16, float16, int8"
    )


def test_auto_is_a_precision_that_the_device_has() -> None:
    assert resolved("auto", CPU) in ("float32", "bfloat16")
    assert resolved("auto", torch.device("mps")) == "float32"
    assert resolved("float16", CPU) == "float16"


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_cores_side_by_side_give_what_one_gives_and_leave_torch_as_it_was(threads: int) -> None:
    model = tiny_model()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = logits_of(model, TASK, EXAMPLES, device=CPU, tokens_per_batch=30)
    seen: list[int] = []
    try:
        torch.set_num_threads(threads)
        found = logits_of(
            model, TASK, EXAMPLES, device=CPU, tokens_per_batch=30, progress=seen.append
        )
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-5)
    assert sum(seen) == sum(example.num_tokens for example in EXAMPLES)


def test_an_error_in_one_of_several_cores_is_told() -> None:
    before = torch.get_num_threads()
    model = tiny_model()
    model.embedding.tokens = torch.nn.Embedding(3, 8)
    try:
        torch.set_num_threads(2)
        with pytest.raises(IndexError):
            logits_of(model, TASK, EXAMPLES, device=CPU, tokens_per_batch=30)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_threads_last_so_that_a_long_file_does_not_begin_them_anew() -> None:
    model, names = tiny_model(), set()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in range(3):
            logits_of(
                model,
                TASK,
                EXAMPLES,
                device=CPU,
                tokens_per_batch=40,
                progress=lambda _: names.add(threading.get_ident()),
            )
    finally:
        torch.set_num_threads(before)
    assert 1 <= len(names) <= 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    script = (
        "import os, sys, torch; sys.path[:0] = ['tests', 'tests/unit/tasks']\n"
        "torch.set_num_threads(2)\n"
        "from test_batching import *\n"
        "model = tiny_model()\n"
        "run = lambda: logits_of(model, TASK, EXAMPLES, device=CPU, tokens_per_batch=40)\n"
        "expected = run()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if torch.equal(run(), expected) else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, cwd=ROOT)


def test_a_batch_is_filled_up_so_that_few_kinds_of_kernels_are_built() -> None:
    counts = []

    class Counting(ClassificationTask):
        def logits(self, model: Transformer, batch: Batch) -> Tensor:
            counts.append(batch.num_tokens)
            return super().logits(model, batch)

    task = Counting(TOKENIZER, ["a", "b", "c"], max_positions=12)
    found = logits_of(tiny_model(), task, EXAMPLES, device=CPU, tokens_per_batch=150)
    assert len(found) == len(EXAMPLES)
    assert len(counts) > 1 and all(count % 64 == 0 or count < 64 for count in counts)
