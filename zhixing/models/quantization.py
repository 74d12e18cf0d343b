"""Dynamic int8 quantization of linear layers and embeddings, per output channel.

A layer keeps its weight as int8 with one scale an output and rounds its input to int8 as it comes,
with one scale and one offset a row; `layers/kernels/int8` says how the two are multiplied.
"""

import copy
import hashlib
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeGuard, TypeVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.errors import CheckpointError, ConfigError
from zhixing.layers.kernels.int8 import (
    Factor,
    Int8Weight,
    multiply,
    prepare,
    quantize_weight,
    without_spare,
)
from zhixing.layers.kernels.packed_linear import Derived

# A smaller table saves less than half a megabyte, and positions are looked up by number.
MIN_TABLE_ROWS = 2048

# With more int8 numbers than this, a second layout of each weight costs more memory than it is
# worth: it saves a tenth of the time where one hypothesis is followed, and nothing elsewhere.
MAX_DOUBLE_LAYOUT = 1 << 25

# They work on one vector a text: rounding them gains no time and moves answers.
FLOAT_PARTS = ("classification", "pooler")

Old = TypeVar("Old", bound=nn.Module)


class Int8Linear(Derived):
    """A dynamically quantized linear layer: int8 weight per channel, input rounded row by row.

    The state is `weight` (int8), `scale` (one number an output) and, where there is one, `bias`.
    What a kernel wants beyond that is derived. No gradient passes.

    A layer that `releases` gives up its weight when it is laid out for the kernel, which halves
    the memory; it can then be used where it is, and neither be saved nor moved. One that `is_lean`
    keeps one layout only.
    """

    weight: Tensor | None
    scale: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, *, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.releases = False
        self.is_lean = False
        self._digest = b""
        shape = (out_features, in_features)
        self.register_buffer("weight", torch.zeros(shape, dtype=torch.int8))
        self.register_buffer("scale", torch.zeros(out_features))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    @classmethod
    @torch.no_grad()
    def from_float(cls, linear: nn.Linear, rounded: Int8Weight | None = None) -> "Int8Linear":
        """Quantize a float linear layer; `rounded` is its weight, where that was done."""
        layer = cls(linear.in_features, linear.out_features, bias=linear.bias is not None)
        rounded = rounded or quantize_weight(linear.weight)
        layer.weight, layer.scale = rounded.values, rounded.scale
        if linear.bias is not None:
            layer.bias = linear.bias.detach().clone().float()
        return layer

    def forward(self, x: Float[Tensor, "*N I"]) -> Float[Tensor, "*N O"]:
        """Give x W^T + b."""
        # Read before what is derived: once there is no weight, that is there.
        weight = self.weight
        factor = self.derived(lambda: self._laid_out(weight))
        if self.releases and weight is not None:
            self._digest = self.weight_digest()
            self.weight = None
        if x.dim() == 2:
            return multiply(x, factor)
        product = multiply(x.reshape(-1, self.in_features), factor)
        return product.view(*x.shape[:-1], self.out_features)

    def weight_digest(self) -> bytes:
        """Hash the weight, or tell the hash of the one that was given up."""
        # Held in a local name, as another thread may give it up meanwhile.
        weight = self.weight
        if weight is None:
            return self._digest
        return hashlib.sha256(weight.cpu().contiguous().numpy().tobytes()).digest()

    def _laid_out(self, weight: Tensor | None) -> Factor:
        if weight is None:
            raise ConfigError("a layer without its weight was emptied; load the model again")
        factor = prepare(weight, self.scale, self.bias)
        return without_spare(factor, is_lean=self.is_lean) if self.releases else factor

    def __deepcopy__(self, memo: dict[int, Any]) -> "Int8Linear":
        """Give the layer itself once it has no weight: nothing in it changes any more."""
        if self.weight is None:
            return self
        copied = Int8Linear.__new__(Int8Linear)
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__getstate__(), memo))
        return copied

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Int8Linear":
        if self.weight is not None:
            super()._apply(fn, recurse)
            return self
        moved = fn(self.scale)
        if (moved.device, moved.dtype) != (self.scale.device, self.scale.dtype):
            raise ConfigError(
                "an int8 model that is in use can be neither moved nor cast; load it again"
            )
        return self

    def extra_repr(self) -> str:
        """Describe the layer as torch describes a linear layer."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Int8Embedding(nn.Module):
    """A quantized embedding: a table of int8 vectors, with one scale a vector."""

    weight: Tensor
    scale: Tensor

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        shape = (num_embeddings, embedding_dim)
        self.register_buffer("weight", torch.zeros(shape, dtype=torch.int8))
        self.register_buffer("scale", torch.zeros(num_embeddings))

    @classmethod
    @torch.no_grad()
    def from_float(
        cls, embedding: nn.Embedding, rounded: Int8Weight | None = None
    ) -> "Int8Embedding":
        """Quantize a float embedding; `rounded` is its weight, where that was done."""
        table = cls(embedding.num_embeddings, embedding.embedding_dim)
        rounded = rounded or quantize_weight(embedding.weight)
        table.weight, table.scale = rounded.values, rounded.scale
        return table

    def forward(self, ids: Int[Tensor, "*N"]) -> Float[Tensor, "*N D"]:
        """Give the vectors of some ids, in the dtype of the scales."""
        return self.weight[ids].to(self.scale.dtype).mul_(self.scale[ids].unsqueeze(-1))

    def extra_repr(self) -> str:
        """Describe the table as torch describes an embedding."""
        return f"{self.num_embeddings}, {self.embedding_dim}"


def quantize(model: nn.Module, *, skip: Callable[[str], bool] | None = None) -> nn.Module:
    """Quantize a model in place: linear layers and large embeddings become int8.

    A weight that two modules share is rounded once and stays shared.

    Args:
        model: In float32, or any float type. It is changed.
        skip: Says of a module's full name that it stays as it is; without it, the pooler and the
            classification head do, which work on one vector a text.

    Returns:
        The model that was given.

    Raises:
        ConfigError: If the model is int8 already, or has nothing to replace.
        CheckpointError: If a weight is not finite.

    Example:
        >>> model = quantize(nn.Sequential(nn.Linear(8, 4)))
        >>> model
        Sequential(
          (0): Int8Linear(8, 4, bias=True)
        )
    """
    if is_quantized(model):
        raise ConfigError("the model is int8 already; quantize the one it was made from")
    stays = _works_on_texts if skip is None else skip
    places = [
        (name, module)
        for name, module in model.named_modules(remove_duplicate=False)
        if _can_be_int8(module) and not stays(name)
    ]
    if not places:
        raise ConfigError(
            "the model has no layer to quantize: int8 replaces nn.Linear, and nn.Embedding of at "
            f"least {MIN_TABLE_ROWS} rows, that `skip` does not hold back"
        )
    infinite = [name for name, module in places if not bool(module.weight.isfinite().all())]
    if infinite:
        raise CheckpointError(
            f"the weight of {', '.join(infinite)} holds numbers that are not finite, which int8 "
            f"cannot express; train or fetch the model again"
        )
    rounded: dict[int, Int8Weight] = {}

    def as_int8(module: nn.Linear | nn.Embedding) -> nn.Module:
        key = id(module.weight)
        if key not in rounded:
            rounded[key] = quantize_weight(module.weight)
        if isinstance(module, nn.Embedding):
            return Int8Embedding.from_float(module, rounded[key])
        return Int8Linear.from_float(module, rounded[key])

    return _replaced(model, places, as_int8)


def dequantize(model: nn.Module) -> nn.Module:
    """Dequantize a model in place: int8 layers and embeddings become float again, to be trained.

    Weights that were shared are shared again.
    """
    widened: dict[int, nn.Parameter] = {}
    places = [
        (name, module)
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, Int8Linear | Int8Embedding) and module.weight is not None
    ]

    def as_float(module: Int8Linear | Int8Embedding) -> nn.Module:
        weight = cast("Tensor", module.weight)
        numbers = weight.float() * module.scale.unsqueeze(-1)
        return _floating(module, widened.setdefault(weight.data_ptr(), nn.Parameter(numbers)))

    return _replaced(model, places, as_float)


def _floating(module: Int8Linear | Int8Embedding, weight: nn.Parameter) -> nn.Module:
    if isinstance(module, Int8Embedding):
        table = nn.Embedding(module.num_embeddings, module.embedding_dim, device="meta")
        table.weight = weight
        return table
    has_bias = module.bias is not None
    linear = nn.Linear(module.in_features, module.out_features, bias=has_bias, device="meta")
    linear.weight = weight
    if module.bias is not None:
        linear.bias = nn.Parameter(module.bias.clone())
    return linear


def tied_modules(model: nn.Module) -> dict[str, str]:
    """Give the tied modules by name, each with the earlier module whose weight it shares."""
    first: dict[int, str] = {}
    ties: dict[str, str] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        module, _, last = name.rpartition(".")
        if last == "weight" and first.setdefault(id(weight), module) != module:
            ties[module] = first[id(weight)]
    return ties


def release_weights(model: nn.Module) -> None:
    """Let int8 layers give up their weights once these are laid out for the kernel."""
    layers = [module for module in model.modules() if isinstance(module, Int8Linear)]
    is_lean = sum(layer.in_features * layer.out_features for layer in layers) > MAX_DOUBLE_LAYOUT
    for layer in layers:
        layer.releases, layer.is_lean = True, is_lean


def keep_output(model: nn.Module) -> None:
    """Let the output layer (LM head) keep its weight, so that rows can be taken of it."""
    output = getattr(getattr(model, "next_token", None), "output", None)
    if isinstance(output, Int8Linear):
        output.releases = False


def has_released(model: nn.Module) -> bool:
    """Say whether any layer has given up its weight, so that the model cannot be saved."""
    return any(isinstance(m, Int8Linear) and m.weight is None for m in model.modules())


def prepare_int8(model: nn.Module, names: Collection[str]) -> nn.Module:
    """Replace named modules by empty int8 ones, in place, so that a saved int8 state dict fits.

    Returns:
        The model that was given.

    Raises:
        CheckpointError: If a name is not that of a linear layer or an embedding.
    """
    modules = {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Linear | nn.Embedding)
    }
    wrong = sorted(set(names) - set(modules))
    if wrong:
        raise CheckpointError(
            f"the int8 weights name {', '.join(wrong)}, which this model has not as a linear layer "
            f"or an embedding; quantize the original model again"
        )

    def emptied(module: nn.Linear | nn.Embedding) -> nn.Module:
        if isinstance(module, nn.Embedding):
            return Int8Embedding(module.num_embeddings, module.embedding_dim)
        has_bias = module.bias is not None
        return Int8Linear(module.in_features, module.out_features, bias=has_bias)

    return _replaced(model, [(name, modules[name]) for name in sorted(names)], emptied)


def is_quantized(model: nn.Module) -> bool:
    """Say whether any part of a model is int8."""
    return any(isinstance(module, Int8Linear | Int8Embedding) for module in model.modules())


def _works_on_texts(name: str) -> bool:
    return name.split(".")[0] in FLOAT_PARTS


def _can_be_int8(module: nn.Module) -> TypeGuard[nn.Linear | nn.Embedding]:
    if isinstance(module, nn.Embedding):
        return module.num_embeddings >= MIN_TABLE_ROWS
    return isinstance(module, nn.Linear)


def _replaced(
    model: nn.Module, places: Iterable[tuple[str, Old]], make: Callable[[Old], nn.Module]
) -> nn.Module:
    """Replace modules by name; one that stands in several places stays one."""
    made: dict[int, nn.Module] = {}
    for name, module in places:
        if id(module) not in made:
            made[id(module)] = make(module)
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, made[id(module)])
    return model
