"""The Transformer, encoder, decoder or both, assembled once for all families."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from zhixing.errors import ConfigError, DataError
from zhixing.layers.dropout import Noise
from zhixing.layers.embedding import Embedding
from zhixing.layers.norm import norm_named
from zhixing.layers.positions import Convolutional, Sinusoidal
from zhixing.layers.ragged import Ragged, first_positions, last_positions, sequence_means
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
        if config.decoder_layers and config.encoder_layers:
            tokens = self.embedding.tokens
            if config.decoder_vocab_size is not None:
                tokens = _table(config.decoder_vocab_size, size)
            self.decoder_embedding = _embedding(config, tokens)
        if config.decoder_layers:
            self.decoder = Stack(
                config,
                num_layers=config.decoder_layers,
                is_causal=True,
                has_cross_attention=config.encoder_layers > 0,
            )
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
        elif config.head == "next_token":
            self.next_token = NextTokenHead(
                (self.decoder_embedding or self.embedding).tokens,
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
        """Give the last hidden state of every position: the encoder's, or a lone decoder's."""
        inner = None if noise is None else noise.at("embedding")
        x = self.embedded(self.embedding(input_ids, token_type_ids, inner))
        stack = self.encoder
        if self.decoder is not None and self.decoder_embedding is None:
            stack = self.decoder
        return stack(
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
        inner = None if noise is None else noise.at("head")
        return self.classification(self.pool(states, input_ids.lengths), inner)

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
        input_ids: Ragged | None,
        output_ids: Ragged,
        *,
        noise: Noise | None = None,
        gradient_checkpointing: bool = False,
    ) -> Float[Tensor, "N D"]:
        """Give the decoder's hidden state at every position of given outputs (teacher forcing).

        An output begins with the start token. A decoder that stands alone takes no input.

        Raises:
            ConfigError: If the model has no decoder.
            DataError: If there is an input and no encoder, or an encoder and no input.
        """
        decoder, embedding = self._decoder_parts()
        memory = self._memory(input_ids, noise, gradient_checkpointing)
        inner = None if noise is None else noise.at("decoder")
        x = embedding(output_ids, noise=None if inner is None else inner.at("embedding"))
        return decoder(
            x,
            output_ids.lengths,
            memory=memory,
            noise=inner,
            gradient_checkpointing=gradient_checkpointing,
        )

    def start(
        self, input_ids: Ragged | None, prompts: Ragged
    ) -> tuple[Float[Tensor, "B D"], DecoderState]:
        """Run the encoder, if there is one, and read the decoder's prompts in one pass (prefill).

        A prompt is the start token, or a text to go on with. A decoder that stands alone takes no
        input.

        Returns:
            The hidden states after the prompts, which `next_logits` scores the first new tokens
            by, and what `step` goes on from: one hypothesis a sequence.

        Raises:
            ConfigError: If the model has no decoder.
            DataError: If there is an input and no encoder, or an encoder and no input.
        """
        decoder, embedding = self._decoder_parts()
        memory = self._memory(input_ids, None, False)
        x, state = decoder.prefill(embedding(prompts), prompts.lengths, memory=memory)
        return last_positions(x, prompts.lengths), state

    def step(
        self, ids: Int[Tensor, " N"], state: DecoderState
    ) -> tuple[Float[Tensor, "N D"], DecoderState]:
        """Read one token of every hypothesis; give what `next_logits` scores the next by.

        The hypotheses of the first sequence come first. The state is consumed.

        Raises:
            ConfigError: If the model has no decoder.
        """
        decoder, embedding = self._decoder_parts()
        beam_mask = state.beam_mask
        beam_mask.grow()
        x = embedding.at(ids, beam_mask.newest, below=int(beam_mask.next_positions.max()))
        return decoder.step(x, state)

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
        if self.decoder is None:
            raise ConfigError("the model has no decoder; load one that translates or summarizes")
        return self.decoder, self.decoder_embedding or self.embedding

    def _memory(
        self, input_ids: Ragged | None, noise: Noise | None, gradient_checkpointing: bool
    ) -> Ragged | None:
        has_encoder = self.decoder_embedding is not None
        if has_encoder == (input_ids is None):
            raise DataError(
                "the model has an encoder: give what it reads as input_ids"
                if has_encoder
                else "the model has no encoder: give input_ids=None, and the text as the prompt"
            )
        if input_ids is None:
            return None
        states = self(input_ids, noise=noise, gradient_checkpointing=gradient_checkpointing)
        return Ragged(states, input_ids.lengths)


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
