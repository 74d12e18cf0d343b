"""AdamW with parameter groups, gradient clipping, layer freezing, a cheap embedding gradient."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from zhixing.errors import ConfigError
from zhixing.models.stack import HEAD_PREFIXES
from zhixing.models.transformer import Transformer
from zhixing.training.config import TrainingConfig


def layer_of(name: str, num_layers: int) -> int:
    """Give the layer of a parameter: 0 for the embeddings, then the blocks, then the head.

    A decoder's blocks lie above the encoder's, of which there are `num_layers`.

    Example:
        >>> layer_of("encoder.blocks.2.attention.output.weight", 6)
        3
    """
    if name.startswith(("embedding.", "decoder_embedding.")):
        return 0
    parts = name.split(".")
    if parts[0] in ("encoder", "decoder") and parts[1] == "blocks":
        return int(parts[2]) + 1 + (num_layers if parts[0] == "decoder" else 0)
    return num_layers + 1


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Tell whether weight decay pulls at a parameter: at matrices, not at biases and norms."""
    return parameter.dim() > 1 and not name.endswith(".bias")


def parameter_groups(model: Transformer, config: TrainingConfig) -> list[dict[str, Any]]:
    """Make parameter groups by learning rate and weight decay, each with its rate's factor."""
    top = model.config.encoder_layers + model.config.decoder_layers + 1
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = config.layer_rate_decay ** (top - layer_of(name, model.config.encoder_layers))
        if name.startswith(HEAD_PREFIXES):
            factor *= config.head_rate_factor
        decay = config.weight_decay if decays(name, parameter) else 0.0
        group = groups.setdefault(
            (factor, decay), {"params": [], "weight_decay": decay, "factor": factor}
        )
        group["params"].append(parameter)
    return list(groups.values())


def make_optimizer(model: Transformer, config: TrainingConfig) -> torch.optim.AdamW:
    """Make the AdamW optimizer of a run.

    Source:
        Loshchilov & Hutter 2019, "Decoupled weight decay regularization", arXiv:1711.05101,
        algorithm 2.
    """
    return torch.optim.AdamW(
        parameter_groups(model, config),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every parameter group, each by its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


class EmbeddingGradient:
    """Keep the token table's dense gradient between steps, clearing only the rows last touched.

    A fresh dense gradient of a 30,000-word table costs more to fill with zeros, step by step, than
    most batches cost to add up. Backward here adds sparse rows onto one lasting buffer; what the
    optimizer sees is the dense gradient of the plain way, bit for bit where a step is one part and
    is not clipped, else but for the order in which sums are rounded.
    """

    def __init__(self, table: nn.Embedding) -> None:
        self.table = table
        self.touched: list[Int[Tensor, " N"]] = []
        self.is_sorted = False
        table.sparse = True
        table.weight.grad = torch.zeros_like(table.weight)
        self.hook = table.register_forward_pre_hook(self._note)

    def _note(self, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled():
            self.touched.append(args[0].detach())
            self.is_sorted = False

    def clear(self) -> None:
        """Zero the rows that were touched since the last call."""
        if self.touched and self.table.weight.grad is not None:
            self.table.weight.grad[self._rows()] = 0.0
        self.touched = []

    def norm_squared(self) -> float:
        """Sum the squares of the gradient over the touched rows; all others are zero."""
        if not self.touched or self.table.weight.grad is None:
            return 0.0
        return float(self.table.weight.grad[self._rows()].square().sum())

    def scale(self, factor: float) -> None:
        """Multiply the touched rows."""
        if self.touched and self.table.weight.grad is not None:
            self.table.weight.grad[self._rows()] *= factor

    def _rows(self) -> Int[Tensor, " R"]:
        """Name each touched row once; the sorting is done once a step, whoever asks first."""
        if len(self.touched) > 1 or not self.is_sorted:
            self.touched = [torch.cat(self.touched).unique()]
            self.is_sorted = True
        return self.touched[0]

    def release(self) -> None:
        """Give the table back as it was."""
        self.hook.remove()
        self.table.sparse = False
        self.table.weight.grad = None


class Gradients:
    """Zero, measure and clip the gradients of a model."""

    def __init__(self, model: Transformer, *, keeps_rows: bool) -> None:
        table = model.embedding.tokens
        self.table: EmbeddingGradient | None = None
        if keeps_rows and isinstance(table, nn.Embedding) and table.weight.requires_grad:
            self.table = EmbeddingGradient(table)
        self.others = [
            p
            for p in model.parameters()
            if p.requires_grad and (self.table is None or p is not table.weight)
        ]

    def clear(self) -> None:
        """Set all gradients to zero, or to none."""
        for parameter in self.others:
            parameter.grad = None
        if self.table is not None:
            self.table.clear()

    def clip(self, max_norm: float) -> float:
        """Clip the gradient norm to at most `max_norm`, if that is above 0.

        Returns:
            The norm before.

        Source:
            Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
        """
        given = [p.grad for p in self.others if p.grad is not None]
        squares = [float(norm) ** 2 for norm in torch._foreach_norm(given)] if given else [0.0]
        if self.table is not None:
            squares.append(self.table.norm_squared())
        norm = math.sqrt(sum(squares))
        if 0.0 < max_norm < norm and math.isfinite(norm):
            torch._foreach_mul_(given, max_norm / norm)
            if self.table is not None:
                self.table.scale(max_norm / norm)
        return norm

    def release(self) -> None:
        """Undo what was done to the model."""
        if self.table is not None:
            self.table.release()


def freeze(model: Transformer, config: TrainingConfig) -> None:
    """Freeze parameters: the embedding, the lowest layers.

    Raises:
        ConfigError: If the model has fewer layers than are to be frozen.
    """
    layers = model.config.encoder_layers + model.config.decoder_layers
    if config.freeze_layers > layers:
        raise ConfigError(
            f"freeze_layers is {config.freeze_layers}, but the model has {layers} layers; choose "
            f"at most so many"
        )
    for name, parameter in model.named_parameters():
        layer = layer_of(name, model.config.encoder_layers)
        if (layer == 0 and (config.freeze_embedding or config.freeze_layers)) or (
            0 < layer <= config.freeze_layers
        ):
            parameter.requires_grad_(False)


def count(parameters: Iterable[nn.Parameter]) -> int:
    """Count the elements of some parameters."""
    return sum(parameter.numel() for parameter in parameters)
