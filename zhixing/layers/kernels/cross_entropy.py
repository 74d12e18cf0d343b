"""Cross-entropy over a vocabulary in parts, without ever holding the logits of all positions."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

# Rows of scores at once: measured with 32 to 2048, ten thousand entries, one core and two. The
# last rows are filled up to as many, so that the CPU's library meets one shape only.
ROWS_AT_ONCE = 128


def vocabulary_loss_plainly(
    states: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " N"],
    *,
    row_weights: Float[Tensor, " N"] | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Sum the cross-entropy of every position's target, from the scores of all entries.

    `smoothing` is the share of the target spread over all entries.

    Source:
        Szegedy et al. 2016, arXiv:1512.00567, section 7, for the smoothing.
    """
    logits = functional.linear(states, weight, bias)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    return (losses if row_weights is None else losses * row_weights).sum()


def vocabulary_loss(
    states: Float[Tensor, "N D"],
    weight: Float[Tensor, "V D"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " N"],
    *,
    row_weights: Float[Tensor, " N"] | None = None,
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Do what `vocabulary_loss_plainly` does, some rows at a time, gradients along with the loss.

    The scores of a few rows are turned into their own gradient in place while they are in the
    cache, so that the memory needed does not grow with the positions.
    """
    needs = torch.is_grad_enabled() and any(
        x is not None and x.requires_grad for x in (states, weight, bias)
    )
    if not needs:
        parts = states.split(1024)
        marks = targets.split(1024)
        shares = [None] * len(parts) if row_weights is None else row_weights.split(1024)
        losses = [
            vocabulary_loss_plainly(s, weight, bias, t, row_weights=w, smoothing=smoothing)
            for s, t, w in zip(parts, marks, shares, strict=True)
        ]
        return torch.stack(losses).sum()
    loss: Tensor = _VocabularyLoss.apply(  # type: ignore[no-untyped-call]
        states, weight, bias, targets, row_weights, smoothing
    )
    return loss


class _VocabularyLoss(torch.autograd.Function):
    """Compute the gradient while the scores are there; backward only scales it."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        row_weights: Tensor | None,
        smoothing: float,
    ) -> Tensor:
        count, size = len(states), len(weight)
        wide = torch.promote_types(states.dtype, torch.float32)
        spare = -count % ROWS_AT_ONCE
        shares = states.new_ones(count, dtype=wide) if row_weights is None else row_weights.to(wide)
        rows = functional.pad(states, (0, 0, 0, spare))
        shares, marks = functional.pad(shares, (0, spare)), functional.pad(targets, (0, spare))
        grad_rows = torch.empty_like(rows)
        grad_weight = torch.zeros_like(weight, dtype=wide)
        grad_bias = None if bias is None else torch.zeros_like(bias, dtype=wide)
        total = states.new_zeros((), dtype=wide)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            states, share = rows[part], shares[part].unsqueeze(-1)
            mark = marks[part].unsqueeze(-1)
            scores = functional.linear(states, weight, bias).to(wide).log_softmax(-1)
            losses = scores.gather(1, mark) * (smoothing - 1.0)
            if smoothing:
                losses -= scores.mean(-1, keepdim=True) * smoothing
            total += (losses * share).sum()
            scores.exp_()
            if smoothing:
                scores -= smoothing / size
            scores.scatter_add_(1, mark, torch.full_like(losses, smoothing - 1.0))
            scores *= share
            scores = scores.to(states.dtype)
            torch.mm(scores, weight.to(states.dtype), out=grad_rows[part])
            grad_weight.addmm_(scores.mT.to(wide), states.to(wide))
            if grad_bias is not None:
                grad_bias += scores.sum(0)
        ctx.save_for_backward(grad_rows[:count], grad_weight.to(weight.dtype), grad_bias)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, bias = ctx.saved_tensors
        factor = gradients[0]
        return (
            rows * factor.to(rows.dtype),
            weight * factor.to(weight.dtype),
            None if bias is None else bias * factor,
            None,
            None,
            None,
        )
