"""Int8 products on a CPU: how numbers become eight bits, and which kernel multiplies them.

A weight is int8. What multiplies it depends on the machine, and is the fastest that was measured:

- with AMX tiles, inputs rounded to bfloat16: rounding them to int8 takes as long as the product;
  but where the weight is that of a vocabulary, reading it from memory is what takes the time, and
  int8 is half of it;
- with VNNI, inputs rounded to int8, row by row;
- otherwise the arithmetic of the second, in float32.

The kernels are private operators of torch. Each is tried once, on numbers that include the extreme
ones, before it is trusted.
"""

from dataclasses import dataclass, replace
from functools import cache

import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.nn import functional

from zhixing.layers.packed import can_pack, multiply_packed, pack

LARGEST = 127

# uint8 activations are what every x86 kernel takes natively: signed ones cost a factor of 100 on
# AVX-512 without AMX, and save nothing with it.
ZERO_POINT = 128

# Measured with 384 to 1536 columns: below, the prepacked kernel's fixed cost of about 25 us a call
# exceeds what the packing saves (AVX-512 VNNI), or the two are equal (AMX).
FEW_ROWS = 32

# Numbers in a weight from which on half the bytes count for more than rounding the rows, with
# tiles: of 30 million, 32 rows take 4.5 ms instead of 6.5 on one core, one row 2.4 instead of 5.3.
LARGE = 1 << 23

# Numbers that are quantized at once: 1 MB of float32, which stays in a core's second-level cache
# from one elementwise pass to the next. Half of it loses to the cost of more calls.
BLOCK_SIZE = 256 * 1024

# Stands in for the scale of a row of zeros.
SMALLEST_SCALE = 1e-30


@dataclass(frozen=True)
class Int8Rows:
    """Rows of numbers as `values * scale + offset`, with one scale and one offset a row.

    Attributes:
        values: Between -127 and 127.
        scale: What one step is worth.
        offset: The middle between the row's smallest and largest number.
    """

    values: Int8[Tensor, "N I"]
    scale: Float[Tensor, "N 1"]
    offset: Float[Tensor, "N 1"]


@dataclass(frozen=True)
class Int8Weight:
    """A matrix as `values * scale`, with one scale a row.

    Attributes:
        values: Between -127 and 127.
        scale: The row's largest absolute number, divided by 127; float32.
    """

    values: Int8[Tensor, "O I"]
    scale: Float[Tensor, " O"]


@dataclass(frozen=True)
class Kernels:
    """Which private operators compute correctly here, and are worth it.

    Attributes:
        bfloat16: `packed.multiply_packed`, and tiles to compute it; for any number of rows, and
            before the other two.
        many: `onednn.qlinear_pointwise` with a prepacked weight; for many rows.
        few: `torch._int_mm`; for few rows.
    """

    bfloat16: bool
    many: bool
    few: bool


@dataclass(frozen=True)
class Factor:
    """An int8 matrix with its scales, laid out for the kernels of this machine.

    Attributes:
        weight: One row an output; None where the kernels used here want another layout only.
        scale: One number an output, float32.
        bias: One number an output, float32, or None.
        sums: Sum of each row of the scaled weight: what an offset of 1 adds to each output.
        widened: The scaled weight as the bfloat16 kernel wants it, or None without that kernel.
        packed: The weight as the kernel for many rows wants it, or None where that is not used.
        zero_points: One zero an output; that kernel asks for them.
    """

    weight: Int8[Tensor, "O I"] | None
    scale: Float[Tensor, " O"]
    bias: Float[Tensor, " O"] | None
    sums: Float[Tensor, " O"]
    widened: Tensor | None = None
    packed: Tensor | None = None
    zero_points: Tensor | None = None


def quantize_weight(weight: Float[Tensor, "O I"]) -> Int8Weight:
    """Round every row of a weight to 255 steps that lie evenly on both sides of zero.

    Example:
        >>> quantize_weight(torch.tensor([[1.0, -2.0, 4.0]])).values
        tensor([[ 32, -64, 127]], dtype=torch.int8)
    """
    weight = weight.detach().float()
    scale = weight.abs().amax(dim=-1, keepdim=True).div_(LARGEST).clamp_min_(SMALLEST_SCALE)
    return Int8Weight((weight / scale).round_().to(torch.int8), scale[:, 0].clone())


def quantize_rows(x: Float[Tensor, "N I"]) -> Int8Rows:
    """Round every row to 255 steps between its smallest and its largest number.

    Rounding is to the nearest, a tie to the even. A row depends on itself alone, so a neighbour in
    the batch changes nothing. A row that holds NaN or infinity has a scale that is not finite.

    The range is that of the row, not one that is even about zero: what comes out of a norm or an
    activation is lopsided, and a single channel often sets its range. On MiniLM this divides the
    distance of a sentence's vector from its float32 one (1 - cosine) by more than two.

    Example:
        >>> quantize_rows(torch.tensor([[0.0, 1.0, 4.0]])).values
        tensor([[-127,  -64,  127]], dtype=torch.int8)
    """
    num_rows, width = x.shape
    x = x.detach().float()
    values = torch.empty(num_rows, width, dtype=torch.int8, device=x.device)
    scale = torch.empty(num_rows, 1, device=x.device)
    offset = torch.empty(num_rows, 1, device=x.device)
    at_once = max(1, BLOCK_SIZE // max(1, width))
    room = torch.empty(min(num_rows, at_once), width, device=x.device)
    for start in range(0, num_rows, at_once):
        block = slice(start, start + at_once)
        part = x[block]
        largest, smallest = part.amax(dim=-1, keepdim=True), part.amin(dim=-1, keepdim=True)
        step = torch.sub(largest, smallest, out=scale[block])
        step.div_(2 * LARGEST).clamp_min_(SMALLEST_SCALE)
        middle = torch.lerp(smallest, largest, 0.5, out=offset[block])
        scratch = torch.sub(part, middle, out=room[: len(part)])
        values[block].copy_(scratch.div_(step).round_())
    return Int8Rows(values, scale, offset)


def prepare(
    weight: Int8[Tensor, "O I"], scale: Float[Tensor, " O"], bias: Float[Tensor, " O"] | None
) -> Factor:
    """Lay a weight out for the kernels that are right here; it takes about a millisecond."""
    scale = scale.float().contiguous()
    bias = None if bias is None else bias.float().contiguous()
    # Block by block: to sum it, torch copies an int8 matrix into one of int64.
    blocks = weight.split(max(1, BLOCK_SIZE // max(1, weight.shape[1])))
    sums = torch.cat([block.sum(dim=-1) for block in blocks])
    factor = Factor(weight, scale, bias, sums=sums * scale)
    if weight.device.type != "cpu":
        return factor
    kernels = usable_kernels()
    if kernels.bfloat16 and not (kernels.many and weight.numel() >= LARGE):
        return replace(factor, widened=pack((weight * scale.unsqueeze(-1)).bfloat16()))
    if kernels.many:
        zero_points = torch.zeros(len(weight), dtype=torch.int64)
        return replace(factor, packed=_pack(weight), zero_points=zero_points)
    return factor


def without_spare(factor: Factor) -> Factor:
    """Leave out the weight itself where the kernels that `multiply` takes here never read it."""
    is_spare = factor.widened is not None or (factor.packed is not None and is_large(factor.weight))
    return replace(factor, weight=None) if is_spare else factor


def is_large(weight: Tensor | None) -> bool:
    """Tell whether a weight is multiplied by the kernel for many rows, however few there are."""
    return weight is None or weight.numel() >= LARGE


def multiply(x: Float[Tensor, "N I"], factor: Factor) -> Float[Tensor, "N O"]:
    """Give x times the transposed weight plus the bias, by the fastest kernel for so many rows.

    The result is that of `multiply_plainly`: within the rounding of bfloat16 where that kernel is
    used, and within that of float32 by every other.

    Returns:
        In the dtype of `x`, but for float32 in bfloat16 where that is what was computed. No
        gradient passes.
    """
    if factor.widened is not None:
        product = multiply_packed(x, factor.widened, factor.bias)
        return product if x.dtype == torch.float32 else product.to(x.dtype)
    num_rows, weight = len(x), factor.weight
    if not num_rows:
        return x.new_zeros(0, len(factor.scale))
    rows = quantize_rows(x)
    if factor.packed is not None and (weight is None or num_rows >= FEW_ROWS or is_large(weight)):
        product = _multiply_many(rows.values, factor)
    elif weight is None:
        raise ValueError("the factor holds neither a weight nor one that is packed")
    elif num_rows < FEW_ROWS and x.device.type == "cpu" and usable_kernels().few:
        product = torch._int_mm(rows.values, weight.t()) * factor.scale
    else:
        product = _multiply_portably(rows.values, weight) * factor.scale
    return _joined(product, rows, factor).to(x.dtype)


def multiply_plainly(x: Float[Tensor, "N I"], factor: Factor) -> Float[Tensor, "N O"]:
    """Do what `multiply` does, in float64, from the numbers that the rounded ones stand for.

    Source:
        Dettmers et al. 2022, arXiv:2208.07339, sections 2.1 ("zeropoint quantization" of the rows
        of X) and 3.1 ("vector-wise"), without the separate outliers of section 3.2.
    """
    if factor.weight is None:
        raise ValueError("the factor was made without its spare weight")
    weight = factor.weight.float() * factor.scale.unsqueeze(-1)
    if factor.widened is None:
        rows = quantize_rows(x)
        meant = rows.values.double() * rows.scale.double() + rows.offset.double()
    else:
        meant, weight = x.bfloat16().double(), weight.bfloat16()
    result = meant @ weight.double().mT
    if factor.bias is not None:
        result += factor.bias.double()
    return result.to(x.dtype)


@cache
def usable_kernels() -> Kernels:
    """Try the private operators of this torch on this machine, once.

    A processor without VNNI adds pairs of products in 16 bits and saturates; a kernel that lets
    this show in its results is not used. bfloat16 without tiles is slower than int8, even where a
    processor has instructions for it.
    """
    numbers = torch.arange(48 * 192, dtype=torch.int64)
    # 7919 is prime to 255, so all values come, in no order; the corner is extreme all through.
    values = (numbers * 7919 % 255 - LARGEST).to(torch.int8).view(48, 192)
    weight = values.flip(0, 1).contiguous()
    values[:4], weight[:8] = LARGEST, LARGEST
    values[4:8], weight[8:16] = -LARGEST, -LARGEST
    expected = (values.long() @ weight.long().t()).float()
    return Kernels(
        bfloat16=can_pack(torch.bfloat16),
        many=_is_right_for_many(values, weight, expected),
        few=_is_right_for_few(values, weight, expected),
    )


def _is_right_for_many(values: Tensor, weight: Tensor, expected: Tensor) -> bool:
    try:
        zero_points = torch.zeros(len(weight), dtype=torch.int64)
        ones = torch.ones(len(weight))
        factor = Factor(weight, ones, None, ones, packed=_pack(weight), zero_points=zero_points)
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


def _multiply_portably(
    values: Int8[Tensor, "N I"], weight: Int8[Tensor, "O I"]
) -> Float[Tensor, "N O"]:
    """Multiply in float32, where every factor is exact and a sum is within a rounding or two."""
    # Autocast would have the sums in float16, which ends at 65504.
    with torch.autocast(values.device.type, enabled=False):
        return functional.linear(values.float(), weight.float())


def _joined(product: Float[Tensor, "N O"], rows: Int8Rows, factor: Factor) -> Float[Tensor, "N O"]:
    """Scale the rows and add what bias and offset add: in place, as memory is what this costs."""
    if factor.bias is None:
        product.mul_(rows.scale)
    else:
        torch.addcmul(factor.bias, product, rows.scale, out=product)
    return product.addcmul_(rows.offset, factor.sums)
