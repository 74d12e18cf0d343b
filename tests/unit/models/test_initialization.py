"""Fresh weights follow from the seed and from each weight's own name."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from zhixing.layers.positions import Convolutional, RelativeBias
from zhixing.models.config import ModelConfig
from zhixing.models.initialization import initialize, initialize_module
from zhixing.models.transformer import build

CONFIG = ModelConfig(
    vocab_size=20,
    hidden_size=8,
    encoder_layers=2,
    num_heads=2,
    feed_forward_size=12,
    max_positions=6,
    token_types=2,
)


def test_one_seed_gives_one_model_and_another_another() -> None:
    first, again, other = (build(CONFIG, seed=seed).state_dict() for seed in (3, 3, 4))
    for name, weight in first.items():
        assert torch.equal(weight, again[name])
        if name.endswith("weight") and "norm" not in name:
            assert not torch.equal(weight, other[name])


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    model = nn.Linear(5, 5)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    initialize(model, std=0.02, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    first = model.weight.clone()
    torch.manual_seed(2)
    initialize(model, std=0.02, seed=0)
    assert torch.equal(model.weight, first)


@pytest.mark.parametrize(
    "more",
    [
        {"head": "classification", "num_classes": 3, "classifier_activation": "tanh"},
        {"head": "vocabulary"},
        {"has_pooler": True},
        {"encoder_layers": 3},
    ],
)
def test_a_model_with_more_has_the_same_body(more: dict[str, object]) -> None:
    small, large = build(CONFIG), build(replace(CONFIG, **more))
    found = large.state_dict()
    assert len(found) > len(small.state_dict())
    for name, weight in small.state_dict().items():
        assert torch.equal(weight, found[name]), name


def test_equal_shapes_with_other_names_get_other_weights() -> None:
    blocks = build(CONFIG).encoder.blocks
    assert not torch.equal(
        blocks[0].feed_forward.expand.weight, blocks[1].feed_forward.expand.weight
    )


@pytest.mark.parametrize("module", [nn.Linear(200, 300), nn.Embedding(300, 200), RelativeBias(900)])
def test_weights_are_normal_with_the_spread_asked_for(module: nn.Module) -> None:
    initialize(module, std=0.05, seed=0)
    assert module.weight.std().item() == pytest.approx(0.05, rel=0.02)
    assert abs(module.weight.mean().item()) < 0.05 / module.weight.numel() ** 0.5 * 5
    # Not truncated: about one in twenty lies beyond two deviations, one in 370 beyond three.
    assert (module.weight.abs() > 0.15).double().mean().item() == pytest.approx(0.0027, rel=0.3)


def test_a_convolution_keeps_the_spread_of_what_it_reads() -> None:
    convolution = Convolutional(2000, width=9)
    nn.init.ones_(convolution.bias)
    initialize(convolution, std=0.02, seed=0)
    assert convolution.weight.std().item() == pytest.approx(1 / 3, rel=0.02)
    assert convolution.bias.abs().max() == 0.0


def test_biases_are_zero_and_norms_are_one() -> None:
    for module in (nn.Linear(4, 4), nn.LayerNorm(4)):
        nn.init.normal_(module.bias)
        nn.init.normal_(module.weight)
        initialize_module("some.place", module, std=0.02, seed=0)
        assert module.bias.tolist() == [0.0] * 4
    assert module.weight.tolist() == [1.0] * 4


def test_every_weight_of_a_model_is_drawn() -> None:
    config = replace(CONFIG, head="vocabulary", positions="convolution", norm="pre")
    first, again = build(config), build(config)
    with torch.no_grad():
        for weight in again.parameters():
            weight.fill_(7.0)
    initialize(again, std=config.initial_std, seed=0)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def test_a_module_is_drawn_alike_alone_and_within_its_model() -> None:
    model = build(CONFIG, seed=5)
    alone = nn.Linear(8, 12)
    initialize_module("encoder.blocks.1.feed_forward.expand", alone, std=0.02, seed=5)
    assert torch.equal(alone.weight, model.encoder.blocks[1].feed_forward.expand.weight)


def test_negative_and_large_seeds_are_seeds_too() -> None:
    layers = [nn.Linear(4, 4) for _ in range(3)]
    for layer, seed in zip(layers, (-1, 2**32, 0), strict=True):
        initialize(layer, std=1.0, seed=seed)
    sums = {round(layer.weight.sum().item(), 5) for layer in layers}
    assert len(sums) == 3
