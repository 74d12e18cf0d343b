"""Heads that give logits: classification, masked language modeling, next token."""

from jaxtyping import Float
from torch import Tensor, nn

from zhixing.layers.dropout import Noise, drop
from zhixing.layers.feed_forward import activation_named


class ClassificationHead(nn.Module):
    """Turn the vector of a sequence into one number a class.

    Args:
        hidden_size: Width of the vector.
        num_classes: Numbers out.
        activation: Of a dense layer before the last; None where the body's pooler is that layer.
        dropout: Rate before the last layer.
        drops_pooled: Dropout also before the dense layer.
    """

    def __init__(
        self,
        hidden_size: int,
        num_classes: int,
        *,
        activation: str | None,
        dropout: float,
        drops_pooled: bool,
    ) -> None:
        super().__init__()
        self.dense = None if activation is None else nn.Linear(hidden_size, hidden_size)
        self.activation = None if activation is None else activation_named(activation)
        self.output = nn.Linear(hidden_size, num_classes)
        self.dropout = dropout
        self.drops_pooled = drops_pooled

    def forward(self, x: Float[Tensor, "B D"], noise: Noise | None = None) -> Float[Tensor, "B C"]:
        """Give the logits of every sequence."""
        if self.dense is not None and self.activation is not None:
            if self.drops_pooled:
                x = drop(x, self.dropout, None if noise is None else noise.at("pooled"))
            x = self.activation(self.dense(x))
        return self.output(drop(x, self.dropout, None if noise is None else noise.at("output")))


class VocabularyHead(nn.Module):
    """Give logits for masked language modeling, at every position asked for.

    The last product uses the token table itself (tied weights), as BERT does.

    Source:
        Devlin et al. 2019, arXiv:1810.04805, section 3.1, task 1; Press & Wolf 2017,
        arXiv:1608.05859, for the tie.
    """

    def __init__(
        self, tokens: nn.Embedding, *, hidden_size: int, activation: str, norm_eps: float
    ) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.activation = activation_named(activation)
        self.norm = nn.LayerNorm(hidden_size, eps=norm_eps)
        self.output = nn.Linear(hidden_size, tokens.num_embeddings)
        self.output.weight = tokens.weight

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Give the logits over the vocabulary."""
        return self.output(self.norm(self.activation(self.dense(x))))


class NextTokenHead(nn.Module):
    """Give logits over the vocabulary for the token that comes next (language modeling).

    It multiplies by the decoder's token table itself where it is tied.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.4; Press & Wolf 2017, arXiv:1608.05859,
        for the tie; Raffel et al. 2020, arXiv:1910.10683, for a scale.
    """

    def __init__(
        self, tokens: nn.Embedding, *, is_tied: bool, bias: bool, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.output = nn.Linear(tokens.embedding_dim, tokens.num_embeddings, bias=bias)
        if is_tied:
            self.output.weight = tokens.weight
        self.scale = scale

    def forward(self, x: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Give the logits over the vocabulary."""
        return self.output(x if self.scale == 1.0 else x * self.scale)
