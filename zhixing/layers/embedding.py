"""Token ids to vectors: token + position + token type, then scale, norm and dropout."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.errors import DataError
from zhixing.layers.dropout import Noise, drop
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
        dropout: Rate after all of it.

    Source:
        Devlin et al. 2019, arXiv:1810.04805, figure 2.
    """

    def __init__(
        self,
        tokens: nn.Embedding,
        *,
        positions: nn.Embedding | Sinusoidal | Convolutional | None,
        position_offset: int = 0,
        token_types: nn.Embedding | None = None,
        norm: nn.LayerNorm | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.positions = positions
        self.position_offset = position_offset
        self.token_types = token_types
        self.norm = norm
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

    def _with_positions(
        self, x: Float[Tensor, "N D"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "N D"]:
        if self.positions is None:
            return x
        if isinstance(self.positions, Convolutional):
            return x + self.positions(x, lengths)
        numbers = position_numbers(lengths, x.device)
        if isinstance(self.positions, Sinusoidal):
            return x + self.positions(numbers).to(x.dtype)
        room = self.positions.num_embeddings - self.position_offset
        if max(lengths) > room:
            raise DataError(
                f"a sequence has {max(lengths)} tokens, but the model has {room} positions; "
                f"cut it into windows first"
            )
        table: Tensor = self.positions(numbers + self.position_offset)
        return x + table
