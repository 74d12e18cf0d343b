"""Which positions attend to which, layer by layer and head by head."""

import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.data.batch import Example, lay_out
from zhixing.layers.recorder import recording
from zhixing.models.transformer import Transformer


@torch.inference_mode()
def attention_of(model: Transformer, example: Example) -> list[Float[Tensor, "H T T"]]:
    """Give the attention weights of a text's first window, one tensor a layer.

    The weights are those of the textbook's equation, `layers.attention.attention_weights`; the
    fused kernels give the same results within rounding but never form them.
    """
    window = lay_out([_first_window(example)], None)
    with recording(model.encoder, "attention.weights") as found:
        model(window.input_ids, window.token_type_ids)
    return [tensors[0] for tensors in found.values()]


def rollout(layers: list[Float[Tensor, "H T T"]]) -> Float[Tensor, "T T"]:
    """Follow attention through all layers: how much of each input position reaches each output.

    Source:
        Abnar & Zuidema 2020, "Quantifying attention flow in transformers", arXiv:2005.00928,
        equation 1 with the residual counted as a half.
    """
    size = layers[0].size(-1)
    flow = torch.eye(size)
    for weights in layers:
        mixed = (weights.float().mean(0) + torch.eye(size)) / 2
        flow = mixed @ flow
    return flow


def _first_window(example: Example) -> Example:
    return Example(
        example.windows[:1], None, example.row, example.tokens_given, example.tokens_read
    )
