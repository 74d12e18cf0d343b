"""Products whose matrix is laid out once for the CPU's kernel, instead of in every call.

A matrix product rearranges its right factor into blocks that suit the registers. For a weight that
no longer changes this can be done beforehand: a batch of two thousand tokens then takes some five
percent less time; ten tokens take no less on two threads. The kernels are private operators of
torch, tried once before they are trusted.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

# For every number of rows that it meets the CPU's library builds kernels of its own and keeps them
# for good: a long file would meet two thousand numbers and take 250 MB more, and a training step in
# bfloat16 a quarter more time. So rows are filled up to a multiple of this; batches are so
# beforehand, for it takes a copy here.
KERNEL_ROWS = 64


def pack(weight: Float[Tensor, "O I"]) -> Tensor:
    """Lay a weight out, in its own dtype: float32, or bfloat16 where `has_tiles`.

    Returns:
        An opaque tensor, for `multiply_packed` alone.
    """
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
    return packed


def multiply_packed(
    x: Float[Tensor, "N I"], packed: Tensor, bias: Float[Tensor, " O"] | None
) -> Float[Tensor, "N O"]:
    """Give x W^T + b in the dtype of the packed weight; sums are float32. No gradient passes."""
    count, x = len(x), x.detach().to(packed.dtype)
    if count > KERNEL_ROWS and count % KERNEL_ROWS:
        x = functional.pad(x, (0, 0, 0, -count % KERNEL_ROWS))
    product: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, packed, bias, "none", [], "")
    return product[:count]


@cache
def can_pack(dtype: torch.dtype) -> bool:
    """Tell whether the kernels are here, right, and worth it for weights of a dtype, by trying.

    bfloat16 is worth it where the processor has tiles (AMX) to multiply it in; elsewhere it is
    slower than float32.
    """
    if dtype == torch.bfloat16 and not has_tiles():
        return False
    # 7919 is prime to 255, so all whole numbers from -127 to 127 come, in no order.
    x = (torch.arange(48 * 192) * 7919 % 255 - 127.0).view(48, 192)
    weight, bias = x.flip(0, 1).contiguous(), torch.ones(48)
    try:
        packed = multiply_packed(x, pack(weight.to(dtype)), bias)
    except (AttributeError, RuntimeError):
        return False
    return torch.equal(packed, functional.linear(x, weight, bias).to(dtype))


def has_tiles() -> bool:
    """Tell whether the processor multiplies bfloat16 in tiles."""
    return torch.cpu._is_amx_tile_supported()


class Derived(nn.Module):
    """Keep something that follows from a module's weights, until these change.

    What is kept is made when first asked for, and neither saved nor copied: a packed weight can be
    neither. It is forgotten when the weights are moved, cast or loaded. Changing them in place is
    not noticed, so this is for weights that are frozen.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: Any = None

    def derived(self, make: Callable[[], Any]) -> Any:
        """Give what is kept, made now if it is not there."""
        # Held in a local name, so that another thread may forget the module's own meanwhile.
        kept = self._kept
        if kept is None:
            kept = self._kept = make()
        return kept

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is derived."""
        return {**self.__dict__, "_kept": None}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Derived":
        self._kept = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._kept = None
        super()._load_from_state_dict(*args, **kwargs)


class PackedLinear(Derived, nn.Linear):
    """A frozen linear layer that multiplies by a packed weight.

    Its parameters are those of the layer it was made from, so its state is the same. Where a
    gradient is wanted it computes as that layer does.

    The linear layer is on a CPU, in float32; the dtype is that of the product, and so of the
    result.
    """

    def __init__(self, linear: nn.Linear, *, dtype: torch.dtype) -> None:
        has_bias = linear.bias is not None
        super().__init__(linear.in_features, linear.out_features, bias=has_bias, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.dtype = dtype

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Give x W^T + b, in the dtype of the product."""
        if self._learns(x) or self.weight.dtype != torch.float32 or not self.weight.is_cpu:
            return super().forward(x)
        packed = self.derived(lambda: pack(self.weight.to(self.dtype)))
        if x.dim() == 2:
            return multiply_packed(x, packed, self.bias)
        product = multiply_packed(x.reshape(-1, self.in_features), packed, self.bias)
        return product.view(*x.shape[:-1], self.out_features)

    def plain(self) -> nn.Linear:
        """Give a plain layer of the same parameters."""
        has_bias = self.bias is not None
        linear = nn.Linear(self.in_features, self.out_features, bias=has_bias, device="meta")
        linear.weight, linear.bias = self.weight, self.bias
        return linear

    def _learns(self, x: Float[Tensor, "*N I"]) -> bool:
        wanted = (x, self.weight, self.bias)
        return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in wanted)
