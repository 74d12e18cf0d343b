"""Int8 products on a CPU: how numbers become eight bits, and which kernel multiplies them.

A weight is int8. What multiplies it depends on the machine, and is the fastest that was measured:

- with AMX tiles, inputs rounded to bfloat16: rounding them to int8 takes as long as the product;
  but where the weight is that of a vocabulary, reading it from memory is what takes the time, and
  int8 is half of it;
- with VNNI, inputs rounded to eight bits, row by row;
- otherwise the arithmetic of the second, in float32.

The kernels are private operators of torch. Each is tried once, on numbers that include the extreme
ones, before it is trusted.
"""

from dataclasses import dataclass, replace
from functools import cache

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor
from torch.nn import functional

from zhixing.layers.kernels.packed_linear import can_pack, multiply_packed, pack

MAX_INT8 = 127

# uint8 activations are what every x86 kernel takes natively: signed ones cost a factor of 100 on
# AVX-512 without AMX, and save nothing with it. Less this, they are int8.
MIDDLE = 128

# The prepacked kernel costs some 25 us a call; the other one reads the weight slowly as soon as
# there are two rows. Measured with AVX-512 VNNI and 384 x 384 to 2048 x 512 numbers: the other one
# is faster for one row, and for fewer rows than this where the weight is smaller than that.
FEW_ROWS = 32
SMALL_WEIGHT = 1 << 18

# Numbers in a weight from which on half the bytes count for more than rounding the rows, with
# tiles: of 30 million, 32 rows take 4.5 ms instead of 6.5 on one core, one row 2.4 instead of 5.3.
LARGE_WEIGHT = 1 << 23

# Numbers of a weight that are summed at once, for torch widens what it sums to eight bytes each.
BLOCK_SIZE = 256 * 1024

# Steps between the smallest and the largest number of a row.
STEPS = 255
# Keeps the steps of a row of equal numbers apart from zero, as the kernel does that rounds rows.
SMALLEST_RANGE = 1e-8

# Stands in for the scale of a row of zeros.
MIN_SCALE = 1e-30


@dataclass(frozen=True)
class Int8Rows:
    """Rows of numbers as `values * scale + offset`, with one scale and one offset a row.

    Attributes:
        values: Between 0 and 255, or 128 less.
        scale: What one step is worth.
        offset: The row's smallest number; what is added to a value of zero.
    """

    values: UInt8[Tensor, "N I"] | Int8[Tensor, "N I"]
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
        bfloat16: `packed_linear.multiply_packed`, and tiles to compute it; for any number of rows,
            and before the other two.
        many: `onednn.qlinear_pointwise` with a prepacked weight; for many rows.
        few: `torch._int_mm`; for few rows.
        rows: `quantized.embedding_bag_byte_prepack`; rounds rows in one call instead of ten.
    """

    bfloat16: bool
    many: bool
    few: bool
    rows: bool


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
    scale = weight.abs().amax(dim=-1, keepdim=True).div_(MAX_INT8).clamp_min_(MIN_SCALE)
    return Int8Weight((weight / scale).round_().to(torch.int8), scale[:, 0].clone())


def quantize_rows(x: Float[Tensor, "N I"]) -> Int8Rows:
    """Round every row to 255 steps between its smallest and its largest number.

    Rounding is to the nearest, a tie to the even. A row depends on itself alone, so a neighbour in
    the batch changes nothing. A row that holds NaN or infinity has an offset that is not finite.
    Steps are even where the range of a row is above 1e-5; below, they are that much larger.

    The range is that of the row, not one that is even about zero: what comes out of a norm or an
    activation is lopsided, and a single channel often sets its range. On MiniLM this divides the
    distance of a sentence's vector from its float32 one (1 - cosine) by more than two.

    Example:
        >>> quantize_rows(torch.tensor([[0.0, 1.0, 4.0]])).values
        tensor([[  0,  64, 255]], dtype=torch.uint8)
    """
    x = x.detach().float()
    # The kernel sets floats behind each row, which have to stand at whole places.
    suits_kernel = x.is_cpu and x.size(1) % 4 == 0 and usable_kernels().rows
    return _rounded_at_once(x) if suits_kernel else _rounded_plainly(x)


def _rounded_plainly(x: Float[Tensor, "N I"]) -> Int8Rows:
    largest, smallest = x.amax(dim=-1, keepdim=True), x.amin(dim=-1, keepdim=True)
    width = largest - smallest
    values = ((x - smallest) * (STEPS / (width + SMALLEST_RANGE))).round_()
    return Int8Rows(values.nan_to_num_(0.0).to(torch.uint8), width / STEPS, smallest)


def _rounded_at_once(x: Float[Tensor, "N I"]) -> Int8Rows:
    """Round rows by a kernel that sets two float32 behind each row: the scale and the offset."""
    size = x.size(1)
    packed = torch.ops.quantized.embedding_bag_byte_prepack(x)
    scale, smallest = packed[:, size:].view(torch.float32).split(1, 1)
    # The kernel passes over what is not a number; times zero, that is still none.
    offset = torch.addmv(smallest.squeeze(1), x, x.new_zeros(size)).unsqueeze(1)
    return Int8Rows(packed[:, :size].contiguous(), scale, offset)


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
    if kernels.bfloat16 and not (kernels.many and weight.numel() >= LARGE_WEIGHT):
        return replace(factor, widened=pack((weight * scale.unsqueeze(-1)).bfloat16()))
    if kernels.many:
        zero_points = torch.zeros(len(weight), dtype=torch.int64)
        return replace(factor, packed=_pack(weight), zero_points=zero_points)
    return factor


def without_spare(factor: Factor, *, is_lean: bool = False) -> Factor:
    """Leave out the weight itself where the kernels that `multiply` takes here need not read it.

    Where `is_lean`, it is left out also where reading it would be faster, for few rows.
    """
    may_read = factor.packed is None or not (is_lean or is_large(factor.weight))
    is_spare = factor.widened is not None or not may_read
    return replace(factor, weight=None) if is_spare else factor


def is_large(weight: Tensor | None) -> bool:
    """Tell whether a weight is multiplied by the kernel for many rows, however few there are."""
    return weight is None or weight.numel() >= LARGE_WEIGHT


def _is_for_few(num_rows: int, weight: Tensor) -> bool:
    """Tell whether the kernel for few rows is the faster one."""
    size = weight.numel()
    return size < LARGE_WEIGHT and (num_rows == 1 or (num_rows < FEW_ROWS and size < SMALL_WEIGHT))


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
    weight = factor.weight
    if not len(x):
        return x.new_zeros(0, len(factor.scale))
    rows = quantize_rows(x)
    if factor.packed is not None and (weight is None or not _is_for_few(len(x), weight)):
        product = _multiply_many(rows.values, factor)
    elif weight is None:
        raise ValueError("the factor holds neither a weight nor one that is packed")
    elif x.is_cpu and usable_kernels().few and len(x) < FEW_ROWS:
        rows = _signed(rows)
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
    values = (numbers * 7919 % 255 - MAX_INT8).to(torch.int8).view(48, 192)
    weight = values.flip(0, 1).contiguous()
    values[:4], weight[:8] = MAX_INT8, MAX_INT8
    values[4:8], weight[8:16] = -MAX_INT8, -MAX_INT8
    expected = (values.long() @ weight.long().t()).float()
    return Kernels(
        bfloat16=can_pack(torch.bfloat16),
        many=_is_right_for_many(values, weight, expected),
        few=_is_right_for_few(values, weight, expected),
        rows=_rounds_rightly(values),
    )


def _is_right_for_many(values: Tensor, weight: Tensor, expected: Tensor) -> bool:
    try:
        zero_points = torch.zeros(len(weight), dtype=torch.int64)
        ones = torch.ones(len(weight))
        factor = Factor(weight, ones, None, ones, packed=_pack(weight), zero_points=zero_points)
        # Unsigned factors may be twice as large.
        raised = expected + (MAX_INT8 * weight.long().sum(-1)).float()
        return torch.equal(
            _multiply_many((values.int() + MAX_INT8).to(torch.uint8), factor), raised
        )
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


def _rounds_rightly(values: Tensor) -> bool:
    x = torch.cat((values.float() / 7, torch.full((1, values.size(1)), 3.0)))
    try:
        fast, plain = _rounded_at_once(x), _rounded_plainly(x)
    except (AttributeError, RuntimeError):
        return False
    # Where a product lies halfway between two steps, either may be taken.
    return (
        torch.equal(fast.offset, plain.offset)
        and torch.allclose(fast.scale, plain.scale)
        and int((fast.values.int() - plain.values.int()).abs().max()) <= 1
        and bool((fast.values == plain.values).double().mean() > 0.99)
    )


def _pack(weight: Int8[Tensor, "O I"]) -> Tensor:
    packed: Tensor = torch.ops.onednn.qlinear_prepack(weight, None)
    return packed


def _multiply_many(values: UInt8[Tensor, "N I"], factor: Factor) -> Float[Tensor, "N O"]:
    """Multiply by the packed weight, which the kernel also scales."""
    product: Tensor = torch.ops.onednn.qlinear_pointwise.default(
        values,
        1.0,
        0,
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


def _signed(rows: Int8Rows) -> Int8Rows:
    """Write the same rows with values from -128 to 127, which one of the kernels asks for."""
    values = rows.values.bitwise_xor(MIDDLE).view(torch.int8)
    return Int8Rows(values, rows.scale, torch.add(rows.offset, rows.scale, alpha=MIDDLE))


def _multiply_portably(
    values: UInt8[Tensor, "N I"], weight: Int8[Tensor, "O I"]
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
