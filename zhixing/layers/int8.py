"""Int8 products on a CPU: how numbers become eight bits, and which kernel multiplies them.

The kernels are private operators of torch. Each is tried once, on numbers that include the extreme
ones, before it is trusted; without them the same arithmetic is done in float32.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.nn import functional

LARGEST = 127

# uint8 activations are what every x86 kernel takes natively: signed ones cost a factor of 100 on
# AVX-512 without AMX, and save nothing with it.
ZERO_POINT = 128

# Measured with 384 to 1536 columns: below, the prepacked kernel's fixed cost of about 25 us a call
# exceeds what the packing saves (AVX-512 VNNI), or the two are equal (AMX).
FEW_ROWS = 32

# Numbers that are quantized at once: 1 MB of float32, which stays in a core's second-level cache
# from one elementwise pass to the next. Half of it loses to the cost of more calls.
BLOCK_SIZE = 256 * 1024

# Stands in for the scale of a row of zeros.
SMALLEST_SCALE = 1e-30


@dataclass(frozen=True)
class Int8Rows:
    """Rows of numbers as `values * scale`, with one scale a row.

    Attributes:
        values: Between -127 and 127.
        scale: The largest absolute number of the row, divided by 127.
    """

    values: Int8[Tensor, "N I"]
    scale: Float[Tensor, "N 1"]


@dataclass(frozen=True)
class Kernels:
    """Which private operators compute correctly here.

    Attributes:
        many: `onednn.qlinear_pointwise` with a prepacked weight; for many rows.
        few: `torch._int_mm`; for few rows.
    """

    many: bool
    few: bool


@dataclass(frozen=True)
class Factor:
    """An int8 matrix with its scales, laid out for the kernels of this machine.

    Attributes:
        weight: One row an output.
        scale: One number an output, float32.
        bias: One number an output, float32, or None.
        packed: The weight as the kernel for many rows wants it, or None without that kernel.
        zero_points: One zero an output; that kernel asks for them.
    """

    weight: Int8[Tensor, "O I"]
    scale: Float[Tensor, " O"]
    bias: Float[Tensor, " O"] | None
    packed: Tensor | None
    zero_points: Tensor | None


def quantize_rows(x: Float[Tensor, "N I"]) -> Int8Rows:
    """Round every row to 255 steps between its largest absolute number and the negative of it.

    Rounding is to the nearest, a tie to the even. A row depends on itself alone, so a neighbour in
    the batch changes nothing. A row that holds NaN or infinity has a scale that is not finite.

    Example:
        >>> rows = quantize_rows(torch.tensor([[1.0, -2.0, 4.0]]))
        >>> rows.values
        tensor([[ 32, -64, 127]], dtype=torch.int8)
    """
    num_rows, width = x.shape
    x = x.detach().float()
    values = torch.empty(num_rows, width, dtype=torch.int8, device=x.device)
    scale = torch.empty(num_rows, 1, device=x.device)
    at_once = max(1, BLOCK_SIZE // max(1, width))
    room = torch.empty(min(num_rows, at_once), width, device=x.device)
    for start in range(0, num_rows, at_once):
        part = x[start : start + at_once]
        scratch = room[: len(part)]
        part_scale = scale[start : start + at_once]
        torch.amax(torch.abs(part, out=scratch), dim=-1, keepdim=True, out=part_scale)
        part_scale.div_(LARGEST).clamp_min_(SMALLEST_SCALE)
        rounded = torch.div(part, part_scale, out=scratch).round_()
        values[start : start + at_once].copy_(rounded)
    return Int8Rows(values, scale)


def prepare(
    weight: Int8[Tensor, "O I"], scale: Float[Tensor, " O"], bias: Float[Tensor, " O"] | None
) -> Factor:
    """Lay a weight out for the kernels that are right here; it takes about a millisecond."""
    scale = scale.float().contiguous()
    bias = None if bias is None else bias.float().contiguous()
    if weight.device.type != "cpu" or not usable_kernels().many:
        return Factor(weight, scale, bias, packed=None, zero_points=None)
    zero_points = torch.zeros(len(weight), dtype=torch.int64)
    return Factor(weight, scale, bias, packed=_pack(weight), zero_points=zero_points)


def multiply(x: Float[Tensor, "N I"], factor: Factor) -> Float[Tensor, "N O"]:
    """Give x times the transposed weight plus the bias, by the fastest kernel for so many rows.

    Up to rounding the result is that of `multiply_plainly`, whichever kernel is taken.

    Returns:
        In the dtype of `x`. No gradient passes.
    """
    rows = quantize_rows(x)
    num_rows = len(x)
    if num_rows >= FEW_ROWS and factor.packed is not None:
        product = _multiply_many(rows.values, factor)
    elif 0 < num_rows < FEW_ROWS and x.device.type == "cpu" and usable_kernels().few:
        product = torch._int_mm(rows.values, factor.weight.t()) * factor.scale
    else:
        product = _multiply_portably(rows.values, factor)
    return _scaled(product, rows.scale, factor.bias).to(x.dtype)


def multiply_plainly(x: Float[Tensor, "N I"], factor: Factor) -> Float[Tensor, "N O"]:
    """Do what `multiply` does, in exact whole numbers and then in float64.

    Source:
        Dettmers et al. 2022, arXiv:2208.07339, section 2.1, "vector-wise quantization", without
        the outliers of section 3.
    """
    rows = quantize_rows(x)
    whole = rows.values.long() @ factor.weight.long().mT
    result = whole.double() * rows.scale.double() * factor.scale.double()
    if factor.bias is not None:
        result += factor.bias.double()
    return result.to(x.dtype)


@cache
def usable_kernels() -> Kernels:
    """Try the private operators of this torch on this machine, once.

    A processor without VNNI adds pairs of products in 16 bits and saturates; a kernel that lets
    this show in its results is not used.
    """
    numbers = torch.arange(48 * 192, dtype=torch.int64)
    # 7919 is prime to 255, so all values come, in no order; the corner is extreme all through.
    values = (numbers * 7919 % 255 - LARGEST).to(torch.int8).view(48, 192)
    weight = values.flip(0, 1).contiguous()
    values[:4], weight[:8] = LARGEST, LARGEST
    values[4:8], weight[8:16] = -LARGEST, -LARGEST
    expected = (values.long() @ weight.long().t()).float()
    return Kernels(
        many=_is_right_for_many(values, weight, expected),
        few=_is_right_for_few(values, weight, expected),
    )


def _is_right_for_many(values: Tensor, weight: Tensor, expected: Tensor) -> bool:
    try:
        zero_points = torch.zeros(len(weight), dtype=torch.int64)
        factor = Factor(weight, torch.ones(len(weight)), None, _pack(weight), zero_points)
        return torch.equal(_multiply_many(values, factor), expected)
    except (AttributeError, RuntimeError):
        return False


def _is_right_for_few(values: Tensor, weight: Tensor, expected: Tensor) -> bool:
    try:
        return all(
            torch.equal(torch._int_mm(values[:rows], weight.t()).float(), expected[:rows])
            for rows in (1, 8, FEW_ROWS - 1)
        )
    except (AttributeError, RuntimeError):
        return False


def _pack(weight: Int8[Tensor, "O I"]) -> Tensor:
    packed: Tensor = torch.ops.onednn.qlinear_prepack(weight, None)
    return packed


def _multiply_many(values: Int8[Tensor, "N I"], factor: Factor) -> Float[Tensor, "N O"]:
    """Multiply by the packed weight, which the kernel also scales."""
    unsigned = values.view(torch.uint8) + ZERO_POINT
    product: Tensor = torch.ops.onednn.qlinear_pointwise.default(
        unsigned,
        1.0,
        ZERO_POINT,
        factor.packed,
        factor.scale,
        factor.zero_points,
        None,
        1.0,
        0,
        torch.float32,
        "none",
        [],
        "",
    )
    return product


def _multiply_portably(values: Int8[Tensor, "N I"], factor: Factor) -> Float[Tensor, "N O"]:
    """Multiply in float32, where every factor is exact and a sum is within a rounding or two."""
    # Autocast would have the sums in float16, which ends at 65504.
    with torch.autocast(values.device.type, enabled=False):
        return functional.linear(values.float(), factor.weight.float()) * factor.scale


def _scaled(
    product: Float[Tensor, "N O"], scale: Float[Tensor, "N 1"], bias: Float[Tensor, " O"] | None
) -> Float[Tensor, "N O"]:
    """Scale rows and add the bias, in one pass and in place: memory is what this costs."""
    if bias is None:
        return product.mul_(scale)
    return torch.addcmul(bias, product, scale, out=product)
