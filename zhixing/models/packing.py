"""Packed linear layers for inference, put onto a model that will not be trained any more."""

import copy

import torch
from torch import nn

from zhixing.layers.kernels.packed_linear import PackedLinear, can_pack
from zhixing.models.quantization import FLOAT_PARTS
from zhixing.models.transformer import Transformer

# A packed weight lies in memory beside the one that is saved. For larger models the time that is
# gained is a small share, and the memory is not.
MAX_PACKED_BYTES = 1 << 30


def twin_of(model: Transformer) -> Transformer:
    """Give a frozen model of the same weights, in the same memory, to replace layers in."""
    shared: dict[int, torch.Tensor] = {id(buffer): buffer for buffer in model.buffers()}
    for parameter in model.parameters():
        shared[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    return copy.deepcopy(model, shared)


def pack_linears(model: nn.Module, dtype: torch.dtype) -> bool:
    """Replace the linear layers of a model on a CPU by packed ones, in place.

    The parameters stay the same objects, so the model is saved as it was. With bfloat16 the layers
    that work on one vector a text stay in float32, and so does the sum that runs through the
    blocks. Nothing happens where the kernels are not usable or the model is large.

    The model is in float32; layers packed before are packed anew.

    Returns:
        Whether the layers were packed.
    """
    unpack_linears(model)
    places = [
        (parent, name, child)
        for path, parent in model.named_modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and not _stays(f"{path}.{name}".lstrip("."), dtype)
    ]
    size = sum(child.weight.numel() for _, _, child in places) * dtype.itemsize
    if not places or size > MAX_PACKED_BYTES or not can_pack(dtype):
        return False
    for parent, name, child in places:
        setattr(parent, name, PackedLinear(child, dtype=dtype))
    return True


def unpack_linears(model: nn.Module) -> None:
    """Put plain linear layers in the place of packed ones, with the same parameters."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, PackedLinear):
                setattr(parent, name, child.plain())


def _stays(path: str, dtype: torch.dtype) -> bool:
    return dtype != torch.float32 and path.split(".")[0] in FLOAT_PARTS
