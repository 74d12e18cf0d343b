"""Token ids to vectors: token + position + token type, then scale, norm and dropout."""

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
        x: Tensor = self.tokens(input_ids.values)
        if self.scale != 1.0:
            x = x * self.scale
        x = self._with_positions(x, input_ids.lengths)
        if self.token_types is not None:
            x = x + (
                self.token_types.weight[0]
                if token_type_ids is None
                else self.token_types(token_type_ids)
            )
        if self.norm is not None:
            x = self.norm(x)
        return drop(x, self.dropout, noise)

    def at(self, ids: Int[Tensor, " N"], position: int) -> Float[Tensor, "N D"]:
        """Embed tokens that all stand at one position of their sequences.

        Raises:
            DataError: If the model has no such position.
        """
        x: Tensor = self.tokens(ids)
        if self.scale != 1.0:
            x = x * self.scale
        if self.positions is not None:
            self._refuse_beyond(position + 1)
            number = torch.tensor([position + self.position_offset], device=x.device)
            if isinstance(self.positions, Sinusoidal):
                below = position + self.position_offset + 1
                x = x + self.positions(number, below=below, dtype=x.dtype)
            elif isinstance(self.positions, nn.Embedding):
                x = x + self.positions(number)
            else:
                raise DataError("convolutional positions cannot be read one at a time")
        return x if self.norm is None else self.norm(x)

    def _with_positions(
        self, x: Float[Tensor, "N D"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "N D"]:
        if self.positions is None:
            return x
        if isinstance(self.positions, Convolutional):
            return x + self.positions(x, lengths)
        self._refuse_beyond(max(lengths))
        numbers = position_numbers(lengths, x.device) + self.position_offset
        if isinstance(self.positions, Sinusoidal):
            below = max(lengths) + self.position_offset
            return x + self.positions(numbers, below=below, dtype=x.dtype)
        table: Tensor = self.positions(numbers)
        return x + table

    def _refuse_beyond(self, length: int) -> None:
        if not isinstance(self.positions, nn.Embedding):
            return
        room = self.positions.num_embeddings - self.position_offset
        if length > room:
            raise DataError(
                f"a sequence has {length} tokens, but the model has {room} positions; "
                f"cut it into windows first"
            )
