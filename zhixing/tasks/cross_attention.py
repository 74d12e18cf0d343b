"""Cross-attention while a decoder writes: which parts of a source its words came from."""

from collections.abc import Sequence
from dataclasses import replace

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

from zhixing.data.batch import Batch, Example
from zhixing.errors import DataError
from zhixing.generation.selection import Hypothesis
from zhixing.layers.recorder import recording
from zhixing.models.transformer import Transformer
from zhixing.tasks.inference import in_order
from zhixing.tasks.sequence_to_sequence import SequenceToSequenceTask, target_of

# An attention of nothing at all would have no logarithm.
MIN_ATTENTION = 1e-6


def cross_attention(
    model: Transformer, task: SequenceToSequenceTask, batch: Batch
) -> list[Float[Tensor, "U T"]]:
    """Give the share of every read token in every step of writing given targets.

    It is the mean of all heads of the last layer but one, or of the last of two.

    Args:
        model: With a decoder.
        task: Knows what the decoder reads.
        batch: With targets.

    Returns:
        One matrix an example, in their order: steps by tokens that were read.

    Raises:
        DataError: If the model has no decoder, or the batch no targets.

    Source:
        Garg et al. 2019, arXiv:1909.02074, section 3.1 (the penultimate layer).
    """
    if model.decoder is None:
        raise DataError("attention to what was read needs a model with a decoder")
    targets = target_of(batch)
    blocks = model.decoder.blocks
    block = blocks[len(blocks) - (2 if len(blocks) > 2 else 1)]
    with recording(block, "cross_attention.weights") as recorded:
        model.decoder_states(batch.input_ids, task.shifted(targets))
    (weights,) = recorded.values()
    return batch.by_example([heads.float().mean(0) for heads in weights])


def coverage(weights: Float[Tensor, "U T"]) -> float:
    """Tell how much of a source was attended to: 0 for all of it, the less the more was passed by.

    Every read token counts with the logarithm of the attention it had over all steps, at most 1.

    Source:
        Wu et al. 2016, arXiv:1609.08144, equation 14, without its factor.

    Example:
        >>> coverage(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        0.0
    """
    return float(weights.sum(0).clamp(MIN_ATTENTION, 1.0).log().sum())


def by_coverage(
    model: Transformer,
    task: SequenceToSequenceTask,
    examples: Sequence[Example],
    written: Sequence[Sequence[Hypothesis]],
    penalty: float,
    *,
    device: torch.device,
    precision: str,
) -> list[list[Hypothesis]]:
    """Order the hypotheses of each example by score and coverage together, the best first.

    Args:
        model: That wrote them.
        task: Knows how to lay examples out.
        examples: What was read.
        written: Its hypotheses about each.
        penalty: Factor on `coverage`.
        device: Where to compute.
        precision: Of the matrix products.
    """
    pairs = [
        replace(example, target=numpy.asarray(hypothesis.ids, dtype=numpy.int32))
        for example, hypotheses in zip(examples, written, strict=True)
        for hypothesis in hypotheses
    ]

    def compute(rows: list[int]) -> list[float]:
        batch = task.collate([pairs[row] for row in rows]).to(device)
        return [coverage(weights) for weights in cross_attention(model, task, batch)]

    sizes = [example.num_tokens for example in pairs]
    coverages = in_order(compute, sizes, device=device, precision=precision)
    covered = iter(coverages)
    ranked: list[list[Hypothesis]] = []
    for hypotheses in written:
        scores = [hypothesis.score + penalty * next(covered) for hypothesis in hypotheses]
        order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
        ranked.append([hypotheses[i] for i in order])
    return ranked
