"""The residual stream and what is added to it: the one place that knows pre- from post-norm."""

from collections.abc import Callable
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from zhixing.layers.dropout import Noise, drop
from zhixing.layers.norm import NormKind, norm_named

NormPlace = Literal["pre", "post"]


class Residual(nn.Module):
    """The residual connection: add a sublayer's result to the stream, normalize on one side.

    "post" is norm(x + f(x)), Vaswani et al. 2017, arXiv:1706.03762, section 3.1; "pre" is
    x + f(norm(x)), Xiong et al. 2020, arXiv:2002.04745, figure 1b. A pre-norm stack needs one more
    norm at its very end, which the stack adds.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        norm: NormPlace,
        norm_eps: float,
        norm_kind: NormKind = "layer",
    ) -> None:
        super().__init__()
        self.norm = norm_named(norm_kind, hidden_size, eps=norm_eps)
        self.is_pre = norm == "pre"

    def forward(
        self,
        x: Float[Tensor, "N D"],
        sublayer: Callable[[Tensor], Tensor],
        *,
        dropout: float = 0.0,
        noise: Noise | None = None,
    ) -> Float[Tensor, "N D"]:
        """Apply the sublayer; dropout falls on its result, before the sum."""
        if self.is_pre:
            return x + drop(sublayer(self.norm(x)), dropout, noise)
        normed: Tensor = self.norm(x + drop(sublayer(x), dropout, noise))
        return normed
