"""The Transformer, assembled once for all families."""

from functools import partial

from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.errors import ConfigError
from zhixing.layers.block import Block, Surroundings
from zhixing.layers.dropout import Noise
from zhixing.layers.embedding import Embedding
from zhixing.layers.positions import (
    Convolutional,
    LinearBias,
    PositionBias,
    RelativeBias,
    Rotary,
    Sinusoidal,
)
from zhixing.layers.ragged import Ragged, first_positions, sequence_means
from zhixing.layers.tap import Tap
from zhixing.models.checkpointing import recomputed
from zhixing.models.config import ModelConfig
from zhixing.models.heads import ClassificationHead, VocabularyHead
from zhixing.models.initialization import initialize, initialize_module


class Stack(nn.Module):
    """Hold the blocks of an encoder, and what all of them are told alike."""

    def __init__(self, config: ModelConfig, *, num_layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(
                config.hidden_size,
                num_heads=config.num_heads,
                feed_forward_size=config.feed_forward_size,
                activation=config.activation,
                norm=config.norm,
                norm_eps=config.norm_eps,
            )
            for _ in range(num_layers)
        )
        self.norm: nn.LayerNorm | None = None
        if config.norm == "pre":
            self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.rotary: Rotary | None = None
        if config.positions == "rotary":
            self.rotary = Rotary(config.hidden_size // config.num_heads)
        self.position_bias: PositionBias | None = None
        if config.positions == "relative":
            self.position_bias = RelativeBias(config.num_heads)
        elif config.positions == "linear":
            self.position_bias = LinearBias(config.num_heads)
        self.dropout = config.dropout
        self.attention_dropout = config.attention_dropout

    def forward(
        self,
        x: Float[Tensor, "N D"],
        lengths: tuple[int, ...],
        *,
        noise: Noise | None = None,
        recompute: bool = False,
    ) -> Float[Tensor, "N D"]:
        """Run all blocks; with `recompute`, keep only what stands between them for backward."""
        surroundings = Surroundings(
            rotary=self.rotary,
            bias=self.position_bias,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
        )
        for i, block in enumerate(self.blocks):
            place = None if noise is None else noise.at("block", i)
            if recompute:
                again = partial(block, lengths=lengths, surroundings=surroundings, noise=place)
                x = recomputed(again, x)
            else:
                x = block(x, lengths, surroundings, noise=place)
        return x if self.norm is None else self.norm(x)


class Transformer(nn.Module):
    """Hold a model's weights, and nothing else; what it computes follows from its arguments.

    There is no training mode: dropout falls where a `Noise` is given.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.embedding = Embedding(
            nn.Embedding(config.vocab_size, size),
            positions=_position_part(config),
            position_offset=config.position_offset,
            token_types=nn.Embedding(config.token_types, size) if config.token_types else None,
            norm=nn.LayerNorm(size, eps=config.norm_eps) if config.embedding_norm else None,
            dropout=config.dropout,
        )
        self.embedded = Tap()
        self.encoder = Stack(config, num_layers=config.encoder_layers)
        self.pooler = nn.Linear(size, size) if config.has_pooler else None
        self.classification: ClassificationHead | None = None
        self.vocabulary: VocabularyHead | None = None
        if config.head == "classification":
            rate = config.classifier_dropout
            self.classification = ClassificationHead(
                size,
                config.num_classes,
                activation=config.classifier_activation,
                dropout=config.dropout if rate is None else rate,
                drops_pooled=config.drops_pooled,
            )
        elif config.head == "vocabulary":
            self.vocabulary = VocabularyHead(
                self.embedding.tokens,
                hidden_size=size,
                activation=config.head_activation,
                norm_eps=config.norm_eps,
            )

    def forward(
        self,
        input_ids: Ragged,
        token_type_ids: Int[Tensor, " N"] | None = None,
        *,
        noise: Noise | None = None,
        recompute: bool = False,
    ) -> Float[Tensor, "N D"]:
        """Give the last hidden state of every position."""
        place = None if noise is None else noise.at("embedding")
        x = self.embedded(self.embedding(input_ids, token_type_ids, place))
        return self.encoder(x, input_ids.lengths, noise=noise, recompute=recompute)

    def pool(
        self, hidden_states: Float[Tensor, "N D"], lengths: tuple[int, ...]
    ) -> Float[Tensor, "B D"]:
        """Give one vector a sequence, through the pooler where the model has one."""
        pooled = first_positions if self.config.pooling == "first" else sequence_means
        x = pooled(hidden_states, lengths)
        return x if self.pooler is None else self.pooler(x).tanh()

    def classify(
        self,
        input_ids: Ragged,
        token_type_ids: Int[Tensor, " N"] | None = None,
        *,
        noise: Noise | None = None,
        recompute: bool = False,
    ) -> Float[Tensor, "B C"]:
        """Give the logits of every sequence.

        Raises:
            ConfigError: If the model has no classification head.
        """
        if self.classification is None:
            raise ConfigError(
                "the model has no classification head; train one with zhixing train classify"
            )
        states = self(input_ids, token_type_ids, noise=noise, recompute=recompute)
        place = None if noise is None else noise.at("head")
        return self.classification(self.pool(states, input_ids.lengths), place)

    def fill(
        self,
        input_ids: Ragged,
        token_type_ids: Int[Tensor, " N"] | None = None,
        *,
        noise: Noise | None = None,
        rows: Int[Tensor, " R"] | None = None,
    ) -> Float[Tensor, "R V"]:
        """Give the vocabulary's logits at every position, or at some rows of the batch.

        Raises:
            ConfigError: If the model has no vocabulary head.
        """
        if self.vocabulary is None:
            raise ConfigError("the model has no vocabulary head; load a masked language model")
        states = self(input_ids, token_type_ids, noise=noise)
        return self.vocabulary(states if rows is None else states.index_select(0, rows))


def _position_part(config: ModelConfig) -> nn.Embedding | Sinusoidal | Convolutional | None:
    if config.positions == "learned":
        rows = (config.max_positions or 0) + config.position_offset
        return nn.Embedding(rows, config.hidden_size)
    if config.positions == "sinusoidal":
        return Sinusoidal(config.hidden_size)
    if config.positions == "convolution":
        return Convolutional(config.hidden_size, width=config.convolution_width)
    return None


def build(config: ModelConfig, *, seed: int = 0) -> Transformer:
    """Build a model with fresh weights."""
    model = Transformer(config)
    initialize(model, std=config.initial_std, seed=seed)
    return model


def start_head(model: Transformer, *, seed: int) -> tuple[str, ...]:
    """Draw a classification head anew, for other labels than it was trained on.

    Returns:
        The names of the weights that were drawn.
    """
    if model.classification is None:
        return ()
    prefix = "classification"
    for name, module in model.classification.named_modules(prefix=prefix):
        initialize_module(name, module, std=model.config.initial_std, seed=seed)
    return tuple(name for name, _ in model.classification.named_parameters(prefix=prefix))
