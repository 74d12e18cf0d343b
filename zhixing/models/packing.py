"""Packed linear layers, put onto a model that will not be trained any more."""

import torch
from torch import nn

from zhixing.layers.packed import PackedLinear, can_pack
from zhixing.models.quantization import FLOAT_PARTS

# A packed weight lies in memory beside the one that is saved. For larger models the time that is
# gained is a small share, and the memory is not.
MOST_BYTES = 1 << 30


def pack_linears(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Replace the linear layers of a model on a CPU by packed ones, in place.

    The parameters stay the same objects, so the model is saved as it was. With bfloat16 the layers
    that work on one vector a text stay in float32, and so does the sum that runs through the
    blocks. Nothing happens where the kernels are not usable or the model is large.

    Args:
        model: In float32; it is changed.
        dtype: Of the products: float32 or bfloat16.

    Returns:
        The model that was given.
    """
    places = [
        (parent, name, child)
        for path, parent in model.named_modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and not _stays(f"{path}.{name}".lstrip("."), dtype)
    ]
    size = sum(child.weight.numel() for _, _, child in places) * dtype.itemsize
    if size > MOST_BYTES or not can_pack(dtype):
        return model
    for parent, name, child in places:
        setattr(parent, name, PackedLinear(child, dtype=dtype))
    return model


def _stays(path: str, dtype: torch.dtype) -> bool:
    return dtype != torch.float32 and path.split(".")[0] in FLOAT_PARTS
