import copy
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from zhixing.errors import ConfigError
from zhixing.layers.ragged import Ragged
from zhixing.models.adapters import add_adapters
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build
from zhixing.training.config import TrainingConfig
from zhixing.training.optimizers import (
    EmbeddingGradient,
    Gradients,
    count,
    decays,
    freeze,
    layer_of,
    make_optimizer,
    parameter_groups,
    set_rate,
)


def tiny_model(*, has_pooler: bool = False, head: str = "classification") -> Transformer:
    """Build two layers, two classes and fifty pieces."""
    config = ModelConfig(
        vocab_size=50,
        hidden_size=8,
        encoder_layers=2,
        num_heads=2,
        feed_forward_size=16,
        dropout=0.0,
        head=head,  # type: ignore[arg-type]
        num_classes=2 if head == "classification" else 0,
        has_pooler=has_pooler,
        initial_std=0.3,
    )
    return build(config, seed=1)


def batches(steps: int, *, highest: int = 20) -> list[Ragged]:
    """Draw batches in which ids repeat and most of the table is never touched."""
    generator = torch.Generator().manual_seed(0)
    return [
        Ragged(torch.randint(0, highest, (11,), generator=generator), (4, 4, 3))
        for _ in range(steps)
    ]


def loss_of(model: Transformer, batch: Ragged) -> Tensor:
    """Compute some loss."""
    return nn.functional.cross_entropy(model.classify(batch), torch.tensor([0, 1, 1]))


def weights_of(model: Transformer) -> dict[str, Tensor]:
    """Copy all weights."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def trained(model: Transformer, steps: Sequence[Ragged], *, keeps_rows: bool) -> list[float]:
    """Train with clipping through `Gradients`; give the norms."""
    config = TrainingConfig(learning_rate=1e-2, max_grad_norm=0.5, weight_decay=0.1)
    optimizer = make_optimizer(model, config)
    gradients = Gradients(model, keeps_rows=keeps_rows)
    norms = []
    for batch in steps:
        loss_of(model, batch).backward()
        norms.append(gradients.clip(config.max_grad_norm))
        optimizer.step()
        gradients.clear()
    gradients.release()
    return norms


def test_a_layer_is_told_by_its_name() -> None:
    assert layer_of("embedding.tokens.weight", 2) == 0
    assert layer_of("embedding.norm.bias", 2) == 0
    assert layer_of("encoder.blocks.1.attention.output.weight", 2) == 2
    assert layer_of("encoder.norm.weight", 2) == 3
    assert layer_of("classification.output.weight", 2) == 3


def test_only_matrices_decay() -> None:
    model = tiny_model(has_pooler=True)
    decaying = {name for name, p in model.named_parameters() if decays(name, p)}
    assert "embedding.tokens.weight" in decaying and "pooler.weight" in decaying
    assert not any("norm" in name or name.endswith("bias") for name in decaying)
    assert {p.dim() for name, p in model.named_parameters() if name not in decaying} == {1}


def test_every_trained_parameter_stands_in_exactly_one_group_with_its_layers_rate() -> None:
    model = tiny_model(has_pooler=True)
    config = TrainingConfig(layer_rate_decay=0.5, head_rate_factor=10.0, weight_decay=0.1)
    groups = parameter_groups(model, config)
    found = {p: group for group in groups for p in group["params"]}
    assert len(found) == sum(len(g["params"]) for g in groups) == len(list(model.parameters()))
    expected = {
        "embedding.tokens.weight": (0.125, 0.1),
        "embedding.norm.weight": (0.125, 0.0),
        "encoder.blocks.0.feed_forward.rise.weight": (0.25, 0.1),
        "pooler.weight": (10.0, 0.1),
        "classification.output.weight": (10.0, 0.1),
        "classification.output.bias": (10.0, 0.0),
    }
    for name, parameter in model.named_parameters():
        if name.startswith("encoder.blocks.1."):
            assert found[parameter]["factor"] == 0.5
        if name in expected:
            group = found[parameter]
            assert (group["factor"], group["weight_decay"]) == expected[name]


def test_setting_the_rate_keeps_each_groups_factor() -> None:
    model = tiny_model()
    optimizer = make_optimizer(model, TrainingConfig(layer_rate_decay=0.5))
    set_rate(optimizer, 4.0)
    assert {group["lr"] for group in optimizer.param_groups} == {4.0, 2.0, 1.0, 0.5}


def test_parameters_that_are_not_trained_are_in_no_group() -> None:
    model = tiny_model()
    model.embedding.requires_grad_(False)
    groups = parameter_groups(model, TrainingConfig())
    in_groups = {p for group in groups for p in group["params"]}
    assert in_groups == {p for p in model.parameters() if p.requires_grad}


def test_the_optimizer_is_adamw_as_it_stands_in_the_paper() -> None:
    model = tiny_model().double()
    config = TrainingConfig(
        learning_rate=0.01, weight_decay=0.1, beta1=0.8, beta2=0.95, epsilon=1e-6
    )
    optimizer = make_optimizer(model, config)
    expected = weights_of(model)
    first = {name: torch.zeros_like(value) for name, value in expected.items()}
    second = {name: torch.zeros_like(value) for name, value in expected.items()}
    for step, batch in enumerate(batches(4), start=1):
        model.zero_grad()
        loss_of(model, batch).backward()
        for name, parameter in model.named_parameters():
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            first[name] = 0.8 * first[name] + 0.2 * grad
            second[name] = 0.95 * second[name] + 0.05 * grad**2
            mean = first[name] / (1 - 0.8**step)
            spread = (second[name] / (1 - 0.95**step)).sqrt()
            decay = 0.1 if parameter.dim() > 1 else 0.0
            old = expected[name]
            expected[name] = old - 0.01 * (mean / (spread + 1e-6) + decay * old)
        optimizer.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-10, atol=1e-12)


def test_clipped_training_is_the_plain_one_but_for_the_rounding_of_the_norm() -> None:
    plain, kept = tiny_model(), tiny_model()
    steps = batches(6)
    norms = trained(plain, steps, keeps_rows=False), trained(kept, steps, keeps_rows=True)
    # Only the sum inside the norm runs in another order.
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)
    for name, value in weights_of(plain).items():
        torch.testing.assert_close(weights_of(kept)[name], value, rtol=1e-6, atol=1e-7)


def test_the_kept_embedding_gradient_is_the_plain_one_bit_for_bit() -> None:
    plain, kept = tiny_model(), tiny_model()
    optimizers = [
        make_optimizer(model, TrainingConfig(learning_rate=1e-2)) for model in (plain, kept)
    ]
    gradients = [Gradients(plain, keeps_rows=False), Gradients(kept, keeps_rows=True)]
    for batch in batches(6):
        for model, own in zip((plain, kept), gradients, strict=True):
            loss_of(model, batch).backward()
            own.clip(0.0)
        assert plain.embedding.tokens.weight.grad is not None
        assert kept.embedding.tokens.weight.grad is not None
        assert torch.equal(plain.embedding.tokens.weight.grad, kept.embedding.tokens.weight.grad)
        for optimizer, own in zip(optimizers, gradients, strict=True):
            optimizer.step()
            own.clear()
    for name, value in weights_of(plain).items():
        assert torch.equal(value, weights_of(kept)[name]), name


def test_accumulated_parts_add_up_in_the_kept_gradient_too() -> None:
    plain, kept = tiny_model(), tiny_model()
    own = EmbeddingGradient(kept.embedding.tokens)
    for batch in batches(3):
        loss_of(plain, batch).backward()
        loss_of(kept, batch).backward()
    expected, found = plain.embedding.tokens.weight.grad, kept.embedding.tokens.weight.grad
    assert expected is not None and found is not None
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
    assert own.norm_squared() == pytest.approx(float(expected.square().sum()), rel=1e-5)


def test_clearing_zeroes_the_buffer_and_keeps_it() -> None:
    model = tiny_model()
    own = EmbeddingGradient(model.embedding.tokens)
    buffer = model.embedding.tokens.weight.grad
    assert buffer is not None
    for batch in batches(3):
        loss_of(model, batch).backward()
        assert bool(buffer.any())
        own.clear()
        assert not bool(buffer.any())
        assert model.embedding.tokens.weight.grad is buffer
    assert own.norm_squared() == 0.0


def test_predicting_between_steps_leaves_no_trace() -> None:
    model = tiny_model()
    own = EmbeddingGradient(model.embedding.tokens)
    with torch.no_grad():
        model.classify(batches(1)[0])
    assert own.touched == []


def test_release_gives_the_table_back_as_it_was() -> None:
    model = tiny_model()
    gradients = Gradients(model, keeps_rows=True)
    assert model.embedding.tokens.sparse
    gradients.release()
    assert not model.embedding.tokens.sparse
    loss_of(model, batches(1)[0]).backward()
    assert model.embedding.tokens.weight.grad is not None
    assert not model.embedding.tokens.weight.grad.is_sparse


def test_a_frozen_table_is_left_alone() -> None:
    model = tiny_model()
    model.embedding.requires_grad_(False)
    gradients = Gradients(model, keeps_rows=True)
    assert gradients.table is None
    assert not model.embedding.tokens.sparse


@pytest.mark.parametrize("keeps_rows", [False, True])
@pytest.mark.parametrize("longest", [0.0, 0.3, 1e6])
def test_clipping_is_that_of_torch(keeps_rows: bool, longest: float) -> None:
    model, other = tiny_model(), tiny_model()
    gradients = Gradients(model, keeps_rows=keeps_rows)
    batch = batches(1)[0]
    loss_of(model, batch).backward()
    loss_of(other, batch).backward()
    norm = clip_grad_norm_(other.parameters(), longest or math.inf)
    assert gradients.clip(longest) == pytest.approx(float(norm), rel=1e-6)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        if two.grad is not None:
            assert one.grad is not None
            torch.testing.assert_close(one.grad, two.grad, rtol=1e-5, atol=1e-9)


def test_without_any_gradient_the_norm_is_zero() -> None:
    assert Gradients(tiny_model(), keeps_rows=False).clip(1.0) == 0.0
    assert Gradients(tiny_model(), keeps_rows=True).clip(1.0) == 0.0


def test_a_gradient_that_is_no_number_is_told_and_not_scaled() -> None:
    model = tiny_model()
    gradients = Gradients(model, keeps_rows=False)
    loss_of(model, batches(1)[0]).backward()
    bias = model.encoder.blocks[0].get_parameter("attention.output.bias")
    before = copy.deepcopy(bias.grad)
    model.embedding.tokens.weight.grad = torch.full_like(model.embedding.tokens.weight, math.inf)
    assert gradients.clip(1.0) == math.inf
    assert before is not None and bias.grad is not None
    assert torch.equal(before, bias.grad)


@pytest.mark.parametrize(
    ("config", "frozen"),
    [
        (TrainingConfig(), set()),
        (TrainingConfig(freeze_embedding=True), {0}),
        (TrainingConfig(freeze_layers=1), {0, 1}),
        (TrainingConfig(freeze_layers=2), {0, 1, 2}),
    ],
)
def test_freezing_takes_the_lowest_layers(config: TrainingConfig, frozen: set[int]) -> None:
    model = tiny_model()
    freeze(model, config)
    for name, parameter in model.named_parameters():
        is_head = name.startswith("classification.")
        assert parameter.requires_grad == (is_head or layer_of(name, 2) not in frozen), name


def test_more_layers_to_freeze_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="freeze_layers is 3, but the model has 2 layers"):
        freeze(tiny_model(), TrainingConfig(freeze_layers=3))


def test_low_rank_training_leaves_only_adapters_and_head() -> None:
    model = tiny_model(has_pooler=True)
    add_adapters(model.encoder, rank=2, alpha=4.0, seed=0)
    model.embedding.requires_grad_(False)
    free = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(name.endswith((".down", ".up")) or not name.startswith("enc") for name in free)
    assert {"pooler.weight", "classification.output.weight"} <= free
    assert count(p for p in model.parameters() if p.requires_grad) < count(model.parameters()) / 1.5
