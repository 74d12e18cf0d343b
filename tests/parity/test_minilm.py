"""The real `minilm` against values written down once, and against the reference library."""

import os
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from zhixing.checkpoints.builtin import locate
from zhixing.checkpoints.pretrained import Pretrained, load_pretrained
from zhixing.errors import CheckpointError
from zhixing.layers.ragged import Ragged, sequence_means

TEXTS = (
    "A compact Transformer toolkit trains, evaluates and serves language models.",
    "The movie was surprisingly good, but far too long.",
)
IDS = (
    [101, 1037, 9233, 10938, 2121, 6994, 23615, 4499, 1010, 16157, 2015, 1998, 4240, 2653, 4275]
    + [1012, 102],
    [101, 1996, 3185, 2001, 10889, 2204, 1010, 2021, 2521, 2205, 2146, 1012, 102],
)
FIRST_STATE = (-0.35041, 0.13620, -0.13277, 0.31734, -0.26132, 0.11130)
POOLED = (-0.10936, 0.00756, -0.00263, 0.07104, -0.02452, 0.01383)
MEAN = (-0.129484, -0.004764, -0.012264, -0.004341, -0.047082, -0.000112)
COSINE = 0.12929
WORDS = "the cat sat quietly under an unexpectedly green umbrella while it rained , 42 times !"


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return locate("minilm")
    except CheckpointError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def minilm(folder: Path) -> Pretrained:
    return load_pretrained(folder)


def encode(minilm: Pretrained, texts: tuple[str, ...]) -> Ragged:
    rows = minilm.tokenizer.ids(texts)
    return Ragged.of(torch.tensor(minilm.tokenizer.wrap(ids).input_ids) for ids in rows)


def close(found: Tensor, expected: tuple[float, ...], *, digits: int) -> bool:
    return bool((found - torch.tensor(expected)).abs().max() < 0.6 * 10**-digits)


def test_its_ids_are_those_written_down(minilm: Pretrained) -> None:
    assert [part.tolist() for part in encode(minilm, TEXTS).split()] == list(IDS)


@torch.no_grad()
def test_its_numbers_are_those_written_down(minilm: Pretrained) -> None:
    batch = encode(minilm, TEXTS)
    states = minilm.model(batch)
    assert minilm.fresh == () and minilm.left_out == ()
    assert close(states[0, :6], FIRST_STATE, digits=5)
    assert close(minilm.model.pool(states, batch.lengths)[0, :6], POOLED, digits=5)
    means = torch.nn.functional.normalize(sequence_means(states, batch.lengths))
    assert close(means[0, :6], MEAN, digits=6)
    assert close(means[0] @ means[1], (COSINE,), digits=5)


@torch.no_grad()
def test_ragged_sentences_give_the_numbers_of_the_reference(
    minilm: Pretrained, folder: Path
) -> None:
    reference = AutoModel.from_pretrained(folder).eval()
    reader = AutoTokenizer.from_pretrained(folder)
    draw = random.Random(0)
    words = WORDS.split()
    texts = tuple(" ".join(draw.choices(words, k=draw.randint(1, 60))) for _ in range(20))
    batch = encode(minilm, texts)
    assert len(set(batch.lengths)) > 10
    states = minilm.model(batch)
    pooled = minilm.model.pool(states, batch.lengths)
    for text, own, vector in zip(texts, batch.with_values(states).split(), pooled, strict=True):
        out = reference(**reader(text, return_tensors="pt"))
        assert float((out.last_hidden_state[0] - own).abs().max()) < 2e-5
        assert float((out.pooler_output[0] - vector).abs().max()) < 2e-5
