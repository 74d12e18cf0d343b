"""An adapter changes nothing at first, learns alone, and disappears into its layer."""

import pytest
import torch
from torch import Tensor, nn

from zhixing.errors import ConfigError
from zhixing.layers.ragged import Ragged
from zhixing.models.adapters import LowRankLinear, add_adapters, merge_adapters
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build

IDS = Ragged(torch.tensor([1, 2, 3, 4, 5, 6, 7]), (3, 4))


def _model() -> Transformer:
    config = ModelConfig(
        vocab_size=20,
        hidden_size=8,
        encoder_layers=2,
        num_heads=2,
        feed_forward_size=12,
        max_positions=6,
        head="classification",
        num_classes=3,
        initial_std=0.3,
    )
    return build(config).double()


def _teach(model: nn.Module) -> None:
    """Give every adapter something to say."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, LowRankLinear):
            nn.init.normal_(module.up, generator=generator)


def test_an_adapter_is_the_equation_of_the_paper() -> None:
    base = nn.Linear(5, 4, dtype=torch.float64)
    adapted = LowRankLinear(base, rank=2, alpha=6.0)
    nn.init.normal_(adapted.down)
    nn.init.normal_(adapted.up)
    x = torch.randn(3, 5, dtype=torch.float64)
    for row, found in zip(x, adapted(x), strict=True):
        expected = base.weight @ row + base.bias + 3.0 * adapted.up @ (adapted.down @ row)
        torch.testing.assert_close(found, expected)


def test_an_adapted_model_begins_as_the_one_it_was() -> None:
    model = _model()
    before = model.classify(IDS)
    assert add_adapters(model.encoder, rank=2, alpha=4.0, seed=0) == 8
    assert torch.equal(model.classify(IDS), before)
    _teach(model)
    assert (model.classify(IDS) - before).abs().max() > 1e-3


def test_the_merged_model_equals_the_adapted_one() -> None:
    model, plain = _model(), _model()
    add_adapters(model.encoder, rank=3, alpha=5.0, seed=0)
    _teach(model)
    adapted = model.classify(IDS)
    merge_adapters(model)
    assert (model.classify(IDS) - adapted).abs().max() < 1e-10
    assert not any(isinstance(module, LowRankLinear) for module in model.modules())
    assert list(model.state_dict()) == list(plain.state_dict())


def test_merging_without_adapters_changes_nothing() -> None:
    model = _model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    merge_adapters(model)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])


def test_only_adapters_of_the_body_learn() -> None:
    model = _model()
    add_adapters(model.encoder, rank=2, alpha=4.0, seed=0)
    learning = [n for n, p in model.encoder.named_parameters() if p.requires_grad]
    assert len(learning) == 16
    assert all(name.endswith((".down", ".up")) for name in learning)
    assert all(p.requires_grad for p in model.classification.parameters())
    model.classify(IDS).sum().backward()
    for name, parameter in model.encoder.named_parameters():
        assert (parameter.grad is not None) == (name in learning)
    # While B is zero, A has nothing to learn; B has.
    first = model.encoder.blocks[0].attention.query_key_value
    assert first.up.grad.abs().max() > 0
    assert first.down.grad.abs().max() == 0


def test_training_leaves_the_layer_below_as_it_was() -> None:
    model = _model()
    add_adapters(model.encoder, rank=2, alpha=4.0, seed=0)
    layer = model.encoder.blocks[1].feed_forward.expand
    before = layer.base.weight.clone()
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model.classify(IDS).square().sum().backward()
        optimizer.step()
    assert torch.equal(layer.base.weight, before)
    assert layer.up.abs().max() > 0


def _downs(seed: int) -> list[Tensor]:
    model = _model()
    add_adapters(model.encoder, rank=2, alpha=4.0, seed=seed)
    return [m.down for m in model.modules() if isinstance(m, LowRankLinear)]


def test_the_draw_follows_from_the_seed_and_differs_from_layer_to_layer() -> None:
    first, again, other = _downs(1), _downs(1), _downs(2)
    for one, two, three in zip(first, again, other, strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, three)
    assert not torch.equal(first[0], first[4])


def test_the_draw_has_the_spread_of_its_layer() -> None:
    body = nn.Sequential(nn.Linear(400, 100))
    add_adapters(body, rank=50, alpha=1.0, seed=0)
    assert body[0].down.std().item() == pytest.approx(0.05, rel=0.03)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_an_adapter_has_the_dtype_of_its_layer(dtype: torch.dtype) -> None:
    body = nn.Sequential(nn.Linear(4, 6, dtype=dtype))
    add_adapters(body, rank=2, alpha=1.0, seed=0)
    assert body[0].down.dtype == body[0].up.dtype == dtype
    assert body(torch.zeros(1, 4, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("rank", [-1, 0, 9])
def test_a_rank_out_of_range_is_refused_and_leaves_the_model_alone(rank: int) -> None:
    model = _model()
    message = f"^lora_rank is {rank}; for this model it lies between 1 and 8$"
    with pytest.raises(ConfigError, match=message):
        add_adapters(model.encoder, rank=rank, alpha=1.0, seed=0)
    assert all(p.requires_grad for p in model.parameters())
    assert not any(isinstance(module, LowRankLinear) for module in model.modules())


def test_the_largest_rank_is_welcome() -> None:
    assert add_adapters(_model().encoder, rank=8, alpha=1.0, seed=0) == 8


def test_layers_that_have_an_adapter_get_no_second_one() -> None:
    model = _model()
    add_adapters(model.encoder, rank=2, alpha=1.0, seed=0)
    with pytest.raises(ConfigError, match="lora_rank is 2"):
        add_adapters(model.encoder, rank=2, alpha=1.0, seed=0)
