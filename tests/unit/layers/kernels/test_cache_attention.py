"""A step's attention is the textbook's, whichever kernels compute it."""

import pytest
import torch
from torch import Tensor

from zhixing.layers.attention import attention_weights
from zhixing.layers.kernels import fused_attention as fused
from zhixing.layers.kernels.fused_attention import attend_to_cache

SEQUENCES, HEADS, SIZE = 3, 2, 4


def random(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def plainly(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """One sequence at a time, by the paper's equation."""
    results = []
    for i, own in enumerate(query.unflatten(0, (SEQUENCES, -1))):
        added = None if mask is None else mask.expand(SEQUENCES, query.size(1), len(own), -1)[i]
        weights = attention_weights(own.transpose(0, 1), keys[:, i].transpose(0, 1), bias=added)
        results.append((weights @ values[:, i].transpose(0, 1)).transpose(0, 1))
    return torch.cat(results)


@pytest.fixture(params=[True, False], ids=["products", "fused"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_suits_products", lambda query: request.param)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("has_mask", [False, True])
def test_hypotheses_attend_as_the_textbook_says(width: int, has_mask: bool) -> None:
    query = random(SEQUENCES * width, HEADS, SIZE, seed=0)
    # As after a sequence has left: there is a gap behind each slot's sequences.
    keys, values = (random(7, SEQUENCES + 1, HEADS, SIZE, seed=i)[:, :-1] for i in (1, 2))
    mask = None
    if has_mask:
        mask = torch.zeros(SEQUENCES, 1, width, 7, dtype=torch.float64)
        mask[:, :, :, 3] = -torch.inf
        mask[0, :, -1, 5] = 0.7
    found = attend_to_cache(query, keys, values, mask)
    assert float((found - plainly(query, keys, values, mask)).abs().max()) < 1e-12


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("mask_shape", [None, (3, 1, 0), (1, 4, 1), (3, 4, 0)])
def test_heads_may_share_keys_and_values(
    mask_shape: tuple[int, int, int] | None, shared: int, width: int
) -> None:
    query = random(SEQUENCES * width, 4, SIZE, seed=0)
    keys, values = (random(7, SEQUENCES, shared, SIZE, seed=i) for i in (1, 2))
    mask = None
    if mask_shape is not None:
        # 0 stands for the width.
        mask = random(*(size or width for size in mask_shape), 7, seed=3)
    heads = [head // (4 // shared) for head in range(4)]
    expected = plainly(query, keys[:, :, heads], values[:, :, heads], mask)
    assert float((attend_to_cache(query, keys, values, mask) - expected).abs().max()) < 1e-12


@pytest.mark.usefixtures("either_way")
def test_what_is_added_may_differ_by_head_and_not_by_sequence() -> None:
    query = random(SEQUENCES, HEADS, SIZE, seed=0)
    keys, values = (random(5, SEQUENCES, HEADS, SIZE, seed=i) for i in (1, 2))
    mask = random(1, HEADS, 1, 5, seed=3)
    found = attend_to_cache(query, keys, values, mask.float())
    expected = plainly(query, keys, values, mask.float().double())
    assert float((found - expected).abs().max()) < 1e-12
