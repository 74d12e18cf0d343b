"""Embedding: token ids to vectors, token + position + token type, then norm and dropout."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.errors import DataError
from zhixing.layers.dropout import Noise, drop
from zhixing.layers.norm import Norm
from zhixing.layers.positions import Convolutional, Sinusoidal
from zhixing.layers.ragged import Ragged, position_numbers


class Embedding(nn.Module):
    """Turn token ids into vectors that know what they are and, where asked for, where they stand.

    Args:
        tokens: One vector per entry of the vocabulary.
        positions: A table of learned positions, sinusoids, a convolution, or nothing.
        position_offset: Row of the table that belongs to a sequence's first token.
        token_types: One vector per token type, for text pairs, or nothing.
        norm: Normalizes the sum, or nothing.
        scale: Factor on the tokens' vectors, before positions are added.
        dropout: Rate after all of it.

    Source:
        Devlin et al. 2019, arXiv:1810.04805, figure 2; Vaswani et al. 2017, arXiv:1706.03762,
        section 3.4, for the scale.
    """

    def __init__(
        self,
        tokens: nn.Embedding,
        *,
        positions: nn.Embedding | Sinusoidal | Convolutional | None,
        position_offset: int = 0,
        token_types: nn.Embedding | None = None,
        norm: Norm | None = None,
        scale: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.positions = positions
        self.position_offset = position_offset
        self.token_types = token_types
        self.norm = norm
        self.scale = scale
        self.dropout = dropout

    def forward(
        self,
        input_ids: Ragged,
        token_type_ids: Int[Tensor, " N"] | None = None,
        noise: Noise | None = None,
    ) -> Float[Tensor, "N D"]:
        """Embed every position.

        Raises:
            DataError: If a sequence is longer than the table of positions.
        """
        x = self._scaled_tokens(input_ids.values)
        if isinstance(self.positions, Convolutional):
            x = x + self.positions(x, input_ids.lengths)
        elif self.positions is not None:
            positions = position_numbers(input_ids.lengths, x.device)
            x = x + self._position_vectors(
                self.positions, positions, below=max(input_ids.lengths), dtype=x.dtype
            )
        return drop(self._with_type_and_norm(x, token_type_ids), self.dropout, noise)

    def at(
        self, ids: Int[Tensor, " N"], positions: Int[Tensor, " N"], *, below: int
    ) -> Float[Tensor, "N D"]:
        """Embed the new tokens of a decoding step, each at its position in its own sequence.

        No position reaches `below`, which is known here without asking a device.

        Raises:
            DataError: If the model has no such position.
        """
        x = self._scaled_tokens(ids)
        if isinstance(self.positions, Convolutional):
            raise DataError("convolutional positions cannot be read one at a time")
        if self.positions is not None:
            x = x + self._position_vectors(self.positions, positions, below=below, dtype=x.dtype)
        return self._with_type_and_norm(x, None)

    def _scaled_tokens(self, ids: Int[Tensor, " N"]) -> Float[Tensor, "N D"]:
        x: Tensor = self.tokens(ids)
        return x if self.scale == 1.0 else x * self.scale

    def _position_vectors(
        self,
        table: nn.Embedding | Sinusoidal,
        positions: Int[Tensor, " N"],
        *,
        below: int,
        dtype: torch.dtype,
    ) -> Float[Tensor, "N D"]:
        rows = positions + self.position_offset
        if isinstance(table, Sinusoidal):
            waves: Tensor = table(rows, below=below + self.position_offset, dtype=dtype)
            return waves
        room = table.num_embeddings - self.position_offset
        if below > room:
            raise DataError(
                f"a sequence has {below} tokens, but the model has {room} positions; "
                f"cut it into windows first"
            )
        vectors: Tensor = table(rows)
        return vectors

    def _with_type_and_norm(
        self, x: Float[Tensor, "N D"], token_type_ids: Int[Tensor, " N"] | None
    ) -> Float[Tensor, "N D"]:
        if self.token_types is not None:
            types = self.token_types
            x = x + (types.weight[0] if token_type_ids is None else types(token_type_ids))
        return x if self.norm is None else self.norm(x)
