"""Packing changes the speed of a model, and neither its answers nor what is saved."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from zhixing.layers.kernels.packed_linear import PackedLinear, can_pack
from zhixing.layers.ragged import Ragged
from zhixing.models import packing
from zhixing.models.config import ModelConfig
from zhixing.models.packing import pack_linears, twin_of, unpack_linears
from zhixing.models.transformer import Transformer, build

IDS = Ragged(torch.tensor([1, 2, 3, 4, 5, 2, 9]), (4, 3))

pytestmark = pytest.mark.skipif(
    not can_pack(torch.float32), reason="this torch has no such kernels"
)


def model_of() -> Transformer:
    config = ModelConfig(
        vocab_size=50,
        hidden_size=32,
        num_heads=4,
        feed_forward_size=64,
        encoder_layers=2,
        max_positions=16,
        head="classification",
        num_classes=3,
        has_pooler=True,
    )
    return build(config, seed=1).requires_grad_(False)


def packed_names(model: nn.Module) -> set[str]:
    return {name for name, part in model.named_modules() if isinstance(part, PackedLinear)}


def test_answers_stay_and_so_does_the_state() -> None:
    model = model_of()
    expected, state = model.classify(IDS), model.state_dict()
    assert pack_linears(model, torch.float32)
    torch.testing.assert_close(model.classify(IDS), expected, rtol=1e-5, atol=1e-6)
    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == {
        name: value.data_ptr() for name, value in state.items()
    }
    assert "pooler" in packed_names(model)


def test_packing_anew_keeps_the_parameters() -> None:
    model = model_of()
    weight = model.pooler.weight
    assert pack_linears(model, torch.float32) and pack_linears(model, torch.float32)
    assert model.pooler.weight is weight
    unpack_linears(model)
    assert not packed_names(model)
    assert model.pooler.weight is weight


@pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor has no tiles")
def test_a_model_packed_in_one_dtype_is_packed_anew_in_another() -> None:
    model = model_of()
    expected = model.classify(IDS)
    pack_linears(model, torch.bfloat16)
    pack_linears(model, torch.float32)
    assert {part.dtype for part in model.modules() if isinstance(part, PackedLinear)} == {
        torch.float32
    }
    torch.testing.assert_close(model.classify(IDS), expected, rtol=1e-5, atol=1e-6)


def test_a_twin_shares_weights_and_leaves_the_model_as_it_was() -> None:
    model = model_of().requires_grad_(True)
    twin = twin_of(model)
    pack_linears(twin, torch.float32)
    assert not packed_names(model)
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in twin.parameters())
    pointers = {name: value.data_ptr() for name, value in model.state_dict().items()}
    assert {name: value.data_ptr() for name, value in twin.state_dict().items()} == pointers


def test_tied_weights_stay_tied_in_a_twin() -> None:
    config = replace(model_of().config, head="vocabulary", num_classes=0, has_pooler=False)
    twin = twin_of(build(config, seed=0))
    assert twin.vocabulary.output.weight is twin.embedding.tokens.weight


@pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor has no tiles")
def test_in_bfloat16_the_sum_through_the_blocks_and_the_head_stay_in_float32() -> None:
    model = model_of()
    expected = model.classify(IDS)
    pack_linears(model, torch.bfloat16)
    assert not {"pooler", "classification.output"} & packed_names(model)
    assert model(IDS).dtype == torch.float32
    torch.testing.assert_close(model.classify(IDS), expected, rtol=0.05, atol=0.02)


def test_a_large_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_PACKED_BYTES", 1000)
    model = model_of()
    assert not pack_linears(model, torch.float32)
    assert not packed_names(model)


def test_without_kernels_a_model_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "can_pack", lambda dtype: False)
    model = model_of()
    assert not pack_linears(model, torch.float32)
    assert not packed_names(model)
