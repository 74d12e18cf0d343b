"""The Transformer is its parts in the order of its configuration, and keeps nothing of a call."""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from zhixing.errors import ConfigError, DataError
from zhixing.layers.block import StackContext
from zhixing.layers.dropout import Noise
from zhixing.layers.positions import PositionKind
from zhixing.layers.ragged import Ragged
from zhixing.models.config import ModelConfig
from zhixing.models.transformer import Transformer, build, start_head

CONFIG = ModelConfig(
    vocab_size=20,
    hidden_size=8,
    encoder_layers=2,
    num_heads=2,
    feed_forward_size=12,
    max_positions=6,
    token_types=2,
)
IDS = Ragged(torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9]), (3, 5, 1))
TYPES = torch.tensor([0, 0, 1, 0, 1, 1, 1, 1, 0])
KINDS = get_args(PositionKind)


def _model(**changes: Any) -> Transformer:
    """Build a model in which every weight is random, norms and biases too."""
    model = Transformer(replace(CONFIG, **changes)).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, mean=0.1, std=0.4, generator=generator)
    return model


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("positions", KINDS)
def test_the_parts_follow_one_another(positions: str, norm: str) -> None:
    model = _model(positions=positions, norm=norm)
    x = model.embedding(IDS, TYPES)
    context = StackContext(rotary=model.encoder.rotary, bias=model.encoder.position_bias)
    for block in model.encoder.blocks:
        x = block(x, IDS.lengths, context)
    if norm == "pre":
        x = model.encoder.norm(x)
    assert (model(IDS, TYPES) - x).abs().max() < 1e-10
    assert (model.encoder.norm is None) == (norm == "post")


@pytest.mark.parametrize("positions", KINDS)
def test_each_kind_of_position_has_its_part_and_no_other(positions: str) -> None:
    model = _model(positions=positions)
    parts = {
        "learned": isinstance(model.embedding.positions, nn.Embedding),
        "sinusoidal": type(model.embedding.positions).__name__ == "Sinusoidal",
        "convolution": type(model.embedding.positions).__name__ == "Convolutional",
        "rotary": model.encoder.rotary is not None,
        "relative": type(model.encoder.position_bias).__name__ == "RelativeBias",
        "linear": type(model.encoder.position_bias).__name__ == "LinearBias",
    }
    assert [name for name, has in parts.items() if has] == [n for n in parts if n == positions]


@pytest.mark.parametrize("positions", KINDS)
def test_the_order_of_words_counts_where_positions_are_told(positions: str) -> None:
    model = _model(positions=positions)
    text = torch.tensor([3, 4, 5, 6])
    order = torch.tensor([1, 0, 2, 3])
    plain, swapped = (model(Ragged(ids, (4,))) for ids in (text, text[order]))
    difference = (plain[order] - swapped).abs().max()
    assert (difference < 1e-10) == (positions == "none")


def test_a_distance_without_a_side_cannot_tell_a_text_from_its_mirror() -> None:
    # What it costs that linear biases count the distance absolutely; relative ones know the side.
    text = torch.tensor([3, 4, 5, 6])
    for positions, is_blind in (("linear", True), ("relative", False)):
        model = _model(positions=positions)
        plain, mirrored = (model(Ragged(ids, (4,))) for ids in (text, text.flip(0)))
        assert bool((plain - mirrored.flip(0)).abs().max() < 1e-10) == is_blind


@pytest.mark.parametrize("positions", KINDS)
def test_a_neighbour_changes_nothing(positions: str) -> None:
    model = _model(positions=positions)
    together = model(IDS, TYPES).split(list(IDS.lengths))
    for part, types, found in zip(
        IDS.split(), TYPES.split(list(IDS.lengths)), together, strict=True
    ):
        assert (found - model(Ragged(part, (len(part),)), types)).abs().max() < 1e-10


@pytest.mark.parametrize("positions", KINDS)
def test_only_a_table_of_positions_has_an_end(positions: str) -> None:
    model = _model(positions=positions, position_offset=2)
    long = Ragged(torch.ones(7, dtype=torch.int64), (7,))
    if positions != "learned":
        assert model(long).shape == (7, 8)
        return
    assert model.embedding.positions.num_embeddings == 8
    with pytest.raises(DataError, match="a sequence has 7 tokens, but the model has 6 positions"):
        model(long)


def test_the_norm_of_the_embedding_is_a_choice() -> None:
    assert _model(embedding_norm=False).embedding.norm is None
    assert _model(norm_eps=0.25).embedding.norm.eps == 0.25
    assert _model(token_types=0).embedding.token_types is None


def test_the_taps_read_the_stream() -> None:
    model = _model()
    seen: list[Tensor] = []
    for tap in (model.embedded, *(block.result for block in model.encoder.blocks)):
        tap.register_forward_hook(lambda _m, _i, result: seen.append(result))
    result = model(IDS, TYPES)
    assert torch.equal(seen[0], model.embedding(IDS, TYPES))
    assert torch.equal(seen[2], result)
    assert not torch.equal(seen[1], result)


def test_the_first_position_or_the_mean_stands_for_a_sequence() -> None:
    states = torch.arange(18.0, dtype=torch.float64).view(9, 2).repeat(1, 4)
    first = _model().pool(states, IDS.lengths)
    assert first[:, 0].tolist() == [0.0, 6.0, 16.0]
    mean = _model(pooling="mean").pool(states, IDS.lengths)
    assert mean[:, 1].tolist() == [3.0, 11.0, 17.0]


def test_the_pooler_is_a_dense_layer_with_tanh() -> None:
    model = _model(has_pooler=True)
    states = model(IDS)
    expected = (states[[0, 3, 8]] @ model.pooler.weight.T + model.pooler.bias).tanh()
    torch.testing.assert_close(model.pool(states, IDS.lengths), expected)


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_a_sequence_is_classified_by_its_pooled_state(pooling: str) -> None:
    model = _model(
        head="classification", num_classes=3, pooling=pooling, classifier_activation="tanh"
    )
    logits = model.classify(IDS, TYPES)
    assert logits.shape == (3, 3)
    pooled = model.pool(model(IDS, TYPES), IDS.lengths)
    torch.testing.assert_close(logits, model.classification(pooled))


@pytest.mark.parametrize(("own", "expected"), [(None, 0.1), (0.0, 0.0), (0.4, 0.4)])
def test_the_last_dropout_is_the_bodys_unless_it_has_its_own(
    own: float | None, expected: float
) -> None:
    model = _model(head="classification", num_classes=3, classifier_dropout=own)
    assert model.classification.dropout == expected


def test_the_vocabulary_is_scored_at_all_positions_or_some() -> None:
    model = _model(head="vocabulary")
    everywhere = model.fill(IDS, TYPES)
    assert everywhere.shape == (9, 20)
    torch.testing.assert_close(everywhere, model.vocabulary(model(IDS, TYPES)))
    rows = torch.tensor([7, 0])
    torch.testing.assert_close(model.fill(IDS, TYPES, rows=rows), everywhere[rows])
    assert model.vocabulary.output.weight is model.embedding.tokens.weight


def test_a_task_without_its_head_is_refused() -> None:
    for model in (_model(), _model(head="vocabulary")):
        message = "the model has no classification head; train one with zhixing train classify"
        with pytest.raises(ConfigError, match=message):
            model.classify(IDS)
    message = "the model has no vocabulary head; load a masked language model"
    for model in (_model(), _model(head="classification", num_classes=2)):
        with pytest.raises(ConfigError, match=message):
            model.fill(IDS)


def test_dropout_falls_where_a_noise_is_given_and_nowhere_else() -> None:
    model = _model(head="classification", num_classes=3)
    still = model.classify(IDS)
    model.train()
    assert torch.equal(model.classify(IDS), still)
    model.eval()
    dropped = model.classify(IDS, noise=Noise((1,)))
    assert torch.equal(dropped, model.classify(IDS, noise=Noise((1,))))
    assert not torch.equal(dropped, still)
    assert not torch.equal(dropped, model.classify(IDS, noise=Noise((2,))))


def test_every_rate_reaches_its_place() -> None:
    silent = {"dropout": 0.0, "attention_dropout": 0.0, "classifier_dropout": 0.0}
    head = {"head": "classification", "num_classes": 3}
    still = _model(**head, **silent).classify(IDS)
    assert torch.equal(_model(**head, **silent).classify(IDS, noise=Noise((1,))), still)
    for name in silent:
        model = _model(**head, **silent | {name: 0.4})
        assert not torch.equal(model.classify(IDS, noise=Noise((1,))), still), name


def test_blocks_have_masks_of_their_own() -> None:
    model = _model(attention_dropout=0.0, embedding_norm=False, norm="pre")
    with torch.no_grad():
        model.encoder.blocks[1].load_state_dict(model.encoder.blocks[0].state_dict())
    noise, first = Noise((1,)), model.encoder.blocks[0]
    x, context = model.embedding(IDS, TYPES), StackContext(dropout=0.1)
    once = first(x, IDS.lengths, context, noise=noise.at("block", 0))
    same = first(once, IDS.lengths, context, noise=noise.at("block", 0))
    found = model.encoder(x, IDS.lengths, noise=noise)
    assert (found - model.encoder.norm(same)).abs().max() > 1e-3


def test_a_call_leaves_nothing_behind() -> None:
    model = _model(head="classification", num_classes=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = model.classify(IDS, TYPES)
    model.classify(Ragged(torch.tensor([7, 7]), (2,)), noise=Noise((1,)))
    assert torch.equal(model.classify(IDS, TYPES), first)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_model_without_blocks_gives_its_embeddings() -> None:
    model = _model(encoder_layers=0)
    assert torch.equal(model(IDS, TYPES), model.embedding(IDS, TYPES))


def test_rotary_positions_need_an_even_head() -> None:
    with pytest.raises(ConfigError, match="head_size is 3; rotary positions turn pairs"):
        Transformer(replace(CONFIG, hidden_size=6, positions="rotary"))


def test_a_convolution_takes_its_width_from_the_configuration() -> None:
    assert _model(positions="convolution", convolution_width=3).embedding.positions.reach == 1
    with pytest.raises(ConfigError, match="convolution width is 4; it has to be odd"):
        Transformer(replace(CONFIG, positions="convolution", convolution_width=4))


def test_a_fresh_head_leaves_the_body_as_it_is() -> None:
    model = _model(head="classification", num_classes=3, classifier_activation="tanh")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = start_head(model, seed=4)
    assert set(names) == {
        f"classification.{layer}.{kind}"
        for layer in ("dense", "output")
        for kind in ("weight", "bias")
    }
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == (name not in names)
    assert model.classification.output.bias.tolist() == [0.0] * 3


def test_a_fresh_head_is_the_one_that_a_fresh_model_has() -> None:
    config = replace(CONFIG, head="classification", num_classes=3)
    model = _model(head="classification", num_classes=3)
    start_head(model, seed=4)
    expected = build(config, seed=4).classification.output.weight.double()
    torch.testing.assert_close(model.classification.output.weight, expected)


def test_a_body_alone_has_no_head_to_start() -> None:
    assert start_head(_model(), seed=0) == ()
