"""The Transformer, assembled once for all families."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.errors import ConfigError
from zhixing.layers.block import Memory
from zhixing.layers.dropout import Noise
from zhixing.layers.embedding import Embedding
from zhixing.layers.norm import norm_named
from zhixing.layers.positions import Convolutional, Sinusoidal
from zhixing.layers.ragged import Ragged, first_positions, sequence_means
from zhixing.layers.tap import Tap
from zhixing.models.config import ModelConfig
from zhixing.models.decoding import DecoderState
from zhixing.models.heads import ClassificationHead, NextTokenHead, VocabularyHead
from zhixing.models.initialization import initialize, initialize_module
from zhixing.models.stack import Stack


class Transformer(nn.Module):
    """Hold a model's weights, and nothing else; what it computes follows from its arguments.

    There is no training mode: dropout falls where a `Noise` is given.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.embedding = _embedding(config, _table(config.vocab_size, size))
        self.embedded = Tap()
        self.encoder = Stack(config, num_layers=config.encoder_layers)
        self.decoder_embedding: Embedding | None = None
        self.decoder: Stack | None = None
        if config.decoder_layers:
            tokens = self.embedding.tokens
            if config.decoder_vocab_size is not None:
                tokens = _table(config.decoder_vocab_size, size)
            self.decoder_embedding = _embedding(config, tokens)
            self.decoder = Stack(config, num_layers=config.decoder_layers, is_decoder=True)
        self.pooler = nn.Linear(size, size) if config.has_pooler else None
        self.classification: ClassificationHead | None = None
        self.vocabulary: VocabularyHead | None = None
        self.next_token: NextTokenHead | None = None
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
        elif config.head == "next_token" and self.decoder_embedding is not None:
            self.next_token = NextTokenHead(
                self.decoder_embedding.tokens,
                is_tied=config.tie_output,
                bias=config.output_bias,
                scale=size**-0.5 if config.output_scale else 1.0,
            )

    def forward(
        self,
        input_ids: Ragged,
        token_type_ids: Int[Tensor, " N"] | None = None,
        *,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Float[Tensor, "N D"]:
        """Give the last hidden state of every position."""
        place = None if noise is None else noise.at("embedding")
        x = self.embedded(self.embedding(input_ids, token_type_ids, place))
        return self.encoder(
            x, input_ids.lengths, noise=noise, gradient_checkpointing=gradient_checkpointing
        )

    @property
    def multiplies_by_tokens(self) -> bool:
        """Tell whether a head scores the vocabulary, and may use the token table for it."""
        return self.vocabulary is not None or self.next_token is not None

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
        gradient_checkpointing: bool = False,
    ) -> Float[Tensor, "B C"]:
        """Give the logits of every sequence.

        Raises:
            ConfigError: If the model has no classification head.
        """
        if self.classification is None:
            raise ConfigError(
                "the model has no classification head; train one with zhixing train classify"
            )
        states = self(
            input_ids, token_type_ids, noise=noise, gradient_checkpointing=gradient_checkpointing
        )
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

    def decoder_states(
        self,
        input_ids: Ragged,
        output_ids: Ragged,
        *,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Float[Tensor, "N D"]:
        """Give the decoder's hidden state at every position of given outputs.

        Args:
            input_ids: What the encoder reads.
            output_ids: What the decoder has written, of each sequence, its start token first.
            noise: For dropout.
            gradient_checkpointing: Keep less for backward.

        Raises:
            ConfigError: If the model has no decoder.
        """
        decoder, embedding = self._decoder_parts()
        values = self(input_ids, noise=noise, gradient_checkpointing=gradient_checkpointing)
        place = None if noise is None else noise.at("decoder")
        x = embedding(output_ids, noise=None if place is None else place.at("embedding"))
        return decoder(
            x,
            output_ids.lengths,
            memory=Memory(values, input_ids.lengths),
            noise=place,
            gradient_checkpointing=gradient_checkpointing,
        )

    def start(self, input_ids: Ragged) -> DecoderState:
        """Run the encoder once, and give what `step` goes on from: one hypothesis a sequence.

        Raises:
            ConfigError: If the model has no decoder.
        """
        decoder, _ = self._decoder_parts()
        memory = Memory(self(input_ids), input_ids.lengths)
        return DecoderState.begin(decoder.project_memory(memory), memory)

    def step(
        self, ids: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N D"], DecoderState]:
        """Read one token of every hypothesis, and give what `next_logits` scores the next by.

        Args:
            ids: One a hypothesis, those of the first sequence first.
            state: It is consumed.

        Raises:
            ConfigError: If the model has no decoder.
        """
        decoder, embedding = self._decoder_parts()
        x = embedding.at(ids, state.beam_mask.position)
        state.beam_mask.grow()
        x, caches = decoder.step(x, state.caches, state.beam_mask, state.cross_key_values)
        return x, DecoderState(caches, state.cross_key_values, state.beam_mask)

    def next_logits(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N V"]:
        """Score every entry of the vocabulary as the token after each of some positions.

        Raises:
            ConfigError: If the model has no head for it.
        """
        return self.head_of_next()(states)

    @property
    def num_tokens(self) -> int:
        """Tell how many tokens the next one is chosen from.

        Raises:
            ConfigError: If the model has no head for it.
        """
        return self.head_of_next().output.out_features

    def head_of_next(self) -> NextTokenHead:
        """Give the head that scores the next token, for a loss that never holds all scores.

        Raises:
            ConfigError: If the model has none.
        """
        if self.next_token is None:
            raise ConfigError("the model has no next-token head; load one that writes")
        return self.next_token

    def _decoder_parts(self) -> tuple[Stack, Embedding]:
        if self.decoder is None or self.decoder_embedding is None:
            raise ConfigError("the model has no decoder; load one that translates or summarizes")
        return self.decoder, self.decoder_embedding


def _embedding(config: ModelConfig, tokens: nn.Embedding) -> Embedding:
    size = config.hidden_size
    norm = None
    if config.embedding_norm:
        norm = norm_named(config.norm_kind, size, eps=config.norm_eps)
    return Embedding(
        tokens,
        positions=_position_part(config),
        position_offset=config.position_offset,
        token_types=_table(config.token_types, size) if config.token_types else None,
        norm=norm,
        scale=math.sqrt(size) if config.embedding_scale else 1.0,
        dropout=config.dropout,
    )


def _table(rows: int, size: int) -> nn.Embedding:
    """Give a table that is not filled: the weights are loaded, or drawn by `initialize`.

    Drawing them here would take a second and more where there is no memory yet (device meta).
    """
    return nn.Embedding(rows, size, _weight=torch.empty(rows, size))


def _position_part(config: ModelConfig) -> nn.Embedding | Sinusoidal | Convolutional | None:
    if config.positions == "learned":
        rows = (config.max_positions or 0) + config.position_offset
        return _table(rows, config.hidden_size)
    if config.positions == "sinusoidal":
        return Sinusoidal(config.hidden_size, kind=config.sinusoid)
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
