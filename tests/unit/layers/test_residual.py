"""A residual adds what its sublayer says, and normalizes before or after."""

import pytest
import torch
from torch import Tensor

from zhixing.layers.block import NormPlace, Residual
from zhixing.layers.dropout import Noise, drop


def _residual(norm: NormPlace) -> Residual:
    residual = Residual(4, norm=norm, norm_eps=1e-5).double()
    torch.nn.init.normal_(residual.norm.weight, mean=1.0)
    torch.nn.init.normal_(residual.norm.bias)
    return residual


def _normed(residual: Residual, x: Tensor) -> Tensor:
    """Normalize as Ba et al. 2016, arXiv:1607.06450, equations 3 and 4."""
    spread = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    centered = (x - x.mean(-1, keepdim=True)) / spread
    return centered * residual.norm.weight + residual.norm.bias


def _double(x: Tensor) -> Tensor:
    return 2 * x


X = torch.tensor([[1.0, -2.0, 0.5, 4.0], [0.0, 3.0, 3.0, -1.0]], dtype=torch.float64)


def test_a_post_norm_residual_normalizes_the_sum() -> None:
    residual = _residual("post")
    torch.testing.assert_close(residual(X, _double), _normed(residual, 3 * X))


def test_a_pre_norm_residual_normalizes_what_the_sublayer_reads() -> None:
    residual = _residual("pre")
    torch.testing.assert_close(residual(X, _double), X + 2 * _normed(residual, X))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_dropout_falls_on_the_result_of_the_sublayer_alone(norm: NormPlace) -> None:
    residual, noise = _residual(norm), Noise(("place",))
    result = residual(X, _double, dropout=0.5, noise=noise)
    if norm == "pre":
        expected = X + drop(2 * _normed(residual, X), 0.5, noise)
    else:
        expected = _normed(residual, X + drop(2 * X, 0.5, noise))
    torch.testing.assert_close(result, expected)
    assert not torch.equal(result, residual(X, _double))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_dropout_needs_a_noise(norm: NormPlace) -> None:
    residual = _residual(norm)
    assert torch.equal(residual(X, _double, dropout=0.5), residual(X, _double))
