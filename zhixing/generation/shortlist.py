"""Shortlist: a vocabulary cut down to the tokens that a batch's sources call for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from zhixing.errors import ConfigError
from zhixing.generation.search import search
from zhixing.generation.selection import Hypothesis
from zhixing.generation.settings import SearchSettings
from zhixing.layers.cache import DecoderState
from zhixing.layers.kernels.int8 import Factor, multiply, prepare
from zhixing.layers.ragged import Ragged
from zhixing.models.quantization import Int8Embedding, Int8Linear
from zhixing.models.transformer import Transformer

NONE = -1


@dataclass(frozen=True)
class Shortlist:
    """Which tokens may be written about which.

    Attributes:
        candidates: For every token that is read the likeliest ones to be written, or `NONE`.
        always: May always be written.
        is_joint: Both sides have one vocabulary, so that what is read may be copied.
    """

    candidates: Int[Tensor, "V K"]
    always: Int[Tensor, " A"]
    is_joint: bool

    def ids_for(self, input_ids: Int[Tensor, " N"]) -> Int[Tensor, " S"]:
        """Give the tokens that may be written about some sources, in order, each once."""
        read = input_ids.cpu().unique()
        likely = self.candidates[read].flatten()
        parts = [self.always, likely[likely != NONE]] + ([read] if self.is_joint else [])
        return torch.cat([part.long() for part in parts]).unique()

    def fingerprint(self) -> str:
        """Give a sha256: equal fingerprints give equal lists."""
        digest = hashlib.sha256(str(self.is_joint).encode())
        for tensor in (self.candidates, self.always):
            digest.update(tensor.int().contiguous().numpy().tobytes())
        return digest.hexdigest()


class ShortlistedModel:
    """Write with some of a model's tokens, which are numbered anew.

    Args:
        model: It writes.
        ids: Its tokens that may be written, in order.

    Raises:
        ConfigError: If the model is int8, in use, and has given up the rows of its output.
    """

    def __init__(self, model: Transformer, ids: Int[Tensor, " S"]) -> None:
        self.model = model
        self.ids = ids
        self.scale = model.head_of_next().scale
        self.weight, self.bias, self.factor = _rows_of(model, ids)

    def start(
        self, inputs: Ragged | None, prompts: Ragged
    ) -> tuple[Float[Tensor, "B D"], DecoderState]:
        """Run the encoder and read the prompts (prefill), by their new numbers."""
        return self.model.start(inputs, prompts.with_values(self.ids[prompts.values]))

    def step(
        self, ids: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N D"], DecoderState]:
        """Read one token of every hypothesis, by its new number."""
        return self.model.step(self.ids[ids], state)

    def next_logits(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N S"]:
        """Score the tokens that may be written."""
        x = states if self.scale == 1.0 else states * self.scale
        if self.factor is not None:
            return multiply(x, self.factor)
        return functional.linear(x.to(self.weight.dtype), self.weight, self.bias)

    @property
    def num_tokens(self) -> int:
        """Tell how many tokens there are to choose from."""
        return len(self.ids)


def search_within(
    model: Transformer,
    inputs: Ragged,
    settings: SearchSettings,
    ids: Int[Tensor, " S"],
    *,
    prefixes: Sequence[Sequence[int]] = (),
    device: torch.device = torch.device("cpu"),
) -> list[list[Hypothesis]]:
    """Search as `search` does, among some tokens only.

    What settings and prefixes name may be written in any case.
    """
    named = [settings.start_id, *settings.end_ids]
    named += [i for i in (settings.forced_first_id, settings.forced_last_id) if i is not None]
    named += [i for prefix in prefixes for i in prefix]
    listed = torch.cat((ids, torch.tensor(named))).unique()
    tokens = listed.tolist()
    numbers = {token: number for number, token in enumerate(tokens)}
    first, last = settings.forced_first_id, settings.forced_last_id
    told = replace(
        settings,
        start_id=numbers[settings.start_id],
        end_ids=tuple(numbers[i] for i in settings.end_ids),
        forced_first_id=None if first is None else numbers[first],
        forced_last_id=None if last is None else numbers[last],
        suppressed_ids=tuple(numbers[i] for i in settings.suppressed_ids if i in numbers),
    )
    results = search(
        ShortlistedModel(model, listed.to(device)),
        inputs,
        told,
        sequences=len(inputs.lengths),
        prefixes=[[numbers[i] for i in prefix] for prefix in prefixes],
        device=device,
    )
    return [
        [replace(result, ids=tuple(tokens[i] for i in result.ids)) for result in hypotheses]
        for hypotheses in results
    ]


def _rows_of(
    model: Transformer, ids: Int[Tensor, " S"]
) -> tuple[Tensor, Tensor | None, Factor | None]:
    """Give the rows of a model's output, as a matrix or as a factor in int8."""
    output = model.head_of_next().output
    bias = None if output.bias is None else output.bias[ids]
    if not isinstance(output, Int8Linear):
        return output.weight[ids], bias, None
    # Read once: another thread may give it up meanwhile.
    weight, scale = output.weight, output.scale
    tokens = (model.decoder_embedding or model.embedding).tokens
    if weight is None and model.config.tie_output and isinstance(tokens, Int8Embedding):
        weight, scale = tokens.weight, tokens.scale
    if weight is None:
        raise ConfigError(
            "the int8 model is in use and has given up the rows of its output; load it with the "
            "shortlist, or in float32"
        )
    return ids, None, prepare(weight[ids].contiguous(), scale[ids], bias)
