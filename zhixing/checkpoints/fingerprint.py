"""A model's hash (SHA-256 of its state dict) and size in bytes."""

import hashlib
from collections.abc import Mapping

import torch

from zhixing.checkpoints.pretrained import Pretrained
from zhixing.models.quantization import Int8Linear
from zhixing.models.transformer import Transformer


def model_hash(model: Transformer) -> str:
    """Hash a model's weights, whatever file they lie in, and whether or not it is in use."""
    tensors = model.state_dict()
    rounded = {
        f"{name}.weight": module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, Int8Linear)
    }
    digest = hashlib.sha256()
    for name in sorted({*tensors, *rounded}):
        digest.update(name.encode())
        if name in rounded:
            digest.update(rounded[name].weight_digest())
        else:
            tensor = tensors[name].detach().cpu().contiguous()
            digest.update(tensor.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def size_of(pretrained: Pretrained) -> int:
    """Count the bytes of a model's weights."""
    seen: Mapping[int, torch.Tensor] = {
        tensor.data_ptr(): tensor for tensor in pretrained.model.state_dict().values()
    }
    return sum(tensor.numel() * tensor.element_size() for tensor in seen.values())
