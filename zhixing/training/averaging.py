"""Weight averaging (checkpoint averaging, SWA) over points near the end of a run."""

from collections.abc import Mapping

import torch
from torch import Tensor

from zhixing.models.transformer import Transformer


def marks(total: int, *, points: int, share: float) -> frozenset[int]:
    """Give the steps after which the weights are taken into the average.

    So many points are spread evenly over a share of the run, from its end, the last step among
    them; fewer where it has fewer steps.
    """
    if not points:
        return frozenset()
    span = total * share
    return frozenset(max(round(total - span * i / points), 1) for i in range(points))


class WeightMean:
    """Average a model's trained weights; each point counts alike.

    Source:
        Vaswani et al. 2017, "Attention is all you need", section 6.1 (the last checkpoints are
        averaged); Izmailov et al. 2018, "Averaging weights leads to wider optima", Algorithm 1.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.count = 0

    def add(self, model: Transformer) -> None:
        """Take the weights as they are now into the mean."""
        self.count += 1
        with torch.no_grad():
            for name, parameter in _trained(model):
                if self.count == 1:
                    self.tensors[name] = parameter.detach().clone()
                else:
                    mean = self.tensors[name]
                    mean += (parameter - mean) / self.count

    def restore(self, tensors: Mapping[str, Tensor], count: int, model: Transformer) -> None:
        """Go on from a mean that was kept."""
        self.count = count
        places = dict(_trained(model))
        self.tensors = {name: value.to(places[name].device) for name, value in tensors.items()}

    def put_into(self, model: Transformer) -> None:
        """Give the model the mean in place of its weights."""
        with torch.no_grad():
            for name, parameter in _trained(model):
                parameter.copy_(self.tensors[name])


def _trained(model: Transformer) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]
