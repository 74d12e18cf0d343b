"""Heads turn vectors into one number a class, or one an entry of the vocabulary."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from zhixing.errors import ConfigError
from zhixing.layers.dropout import Noise, drop
from zhixing.models.stack import ClassificationHead, VocabularyHead

SIZE, CLASSES, VOCAB = 4, 3, 9
X = torch.tensor([[1.0, -2.0, 0.5, 4.0], [0.0, 3.0, 3.0, -1.0]], dtype=torch.float64)


def _drawn(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return module.double()


def _head(*, activation: str | None, drops_pooled: bool = False) -> ClassificationHead:
    head = ClassificationHead(
        SIZE, CLASSES, activation=activation, dropout=0.5, drops_pooled=drops_pooled
    )
    _drawn(head)
    return head


def test_a_head_without_an_activation_is_one_product() -> None:
    head = _head(activation=None)
    assert head.dense is None
    expected = X @ head.output.weight.T + head.output.bias
    torch.testing.assert_close(head(X), expected)


def test_a_head_with_an_activation_has_a_dense_layer_before_it() -> None:
    head = _head(activation="tanh")
    inner = (X @ head.dense.weight.T + head.dense.bias).tanh()
    torch.testing.assert_close(head(X), inner @ head.output.weight.T + head.output.bias)


@pytest.mark.parametrize("drops_pooled", [False, True])
def test_dropout_falls_before_the_dense_layer_only_where_it_is_asked_for(
    drops_pooled: bool,
) -> None:
    head, noise = _head(activation="relu", drops_pooled=drops_pooled), Noise(("head",))
    pooled = drop(X, 0.5, noise.at("pooled")) if drops_pooled else X
    inner = drop(head.dense(pooled).relu(), 0.5, noise.at("output"))
    torch.testing.assert_close(head(X, noise), head.output(inner))
    assert (head(X, noise) - head(X)).abs().max() > 1e-3


def test_a_head_without_a_dense_layer_drops_what_it_is_given() -> None:
    head, noise = _head(activation=None, drops_pooled=True), Noise(("head",))
    torch.testing.assert_close(head(X, noise), head.output(drop(X, 0.5, noise.at("output"))))


def test_a_classification_head_of_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ConfigError, match="activation is 'tahn'; allowed are gelu, gelu_tanh"):
        ClassificationHead(SIZE, CLASSES, activation="tahn", dropout=0.0, drops_pooled=False)


def _vocabulary() -> tuple[nn.Embedding, VocabularyHead]:
    tokens = nn.Embedding(VOCAB, SIZE, dtype=torch.float64)
    head = VocabularyHead(tokens, hidden_size=SIZE, activation="gelu", norm_eps=1e-3)
    _drawn(head)
    return tokens, head


def test_the_vocabulary_is_scored_as_bert_does() -> None:
    tokens, head = _vocabulary()
    inner = functional.gelu(X @ head.dense.weight.T + head.dense.bias)
    spread = (inner.var(-1, unbiased=False, keepdim=True) + 1e-3).sqrt()
    normed = (inner - inner.mean(-1, keepdim=True)) / spread * head.norm.weight + head.norm.bias
    torch.testing.assert_close(head(X), normed @ tokens.weight.T + head.output.bias)


def test_the_last_product_is_the_token_table_itself() -> None:
    tokens, head = _vocabulary()
    assert head.output.weight is tokens.weight
    before = head(X)
    with torch.no_grad():
        tokens.weight[5] = 0.0
    after = head(X)
    torch.testing.assert_close(after[:, 5], head.output.bias[5].expand(2))
    others = [i for i in range(VOCAB) if i != 5]
    assert torch.equal(after[:, others], before[:, others])
