"""ModelConfig: all that tells one model from another, as independent, named choices."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin

from zhixing.errors import ConfigError
from zhixing.layers.feed_forward import ACTIVATIONS
from zhixing.layers.norm import NormKind
from zhixing.layers.positions import PositionKind, RotaryScalingKind, SinusoidKind
from zhixing.layers.residual import NormPlace

HeadKind = Literal["none", "classification", "vocabulary", "next_token"]
PoolingKind = Literal["first", "mean"]
WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a name",
    type(None): "null",
}


LEAST: dict[str, float] = {
    **dict.fromkeys(("vocab_size", "hidden_size", "num_heads", "feed_forward_size"), 1),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "position_offset", "token_types"), 0),
    **{"rotary_base": 1.0, "rotary_scaling_factor": 1.0, "rotary_trained_positions": 1},
}


@dataclass(frozen=True)
class ModelConfig:
    """Describe a model completely; two equal configurations build the same model.

    Attributes:
        vocab_size: Entries of the token table.
        hidden_size: Width of the residual stream.
        encoder_layers: Blocks that read in both directions; with 0 a decoder stands alone.
        decoder_layers: Blocks under a causal mask, with cross-attention where there is an encoder.
        decoder_vocab_size: Entries of a token table of the decoder's own; None for one table.
        num_heads: Attention heads a block; divides `hidden_size` where there is no `head_size`.
        num_key_value_heads: Heads of keys and values, each shared by equally many of `num_heads`
            (grouped-query attention); None for as many.
        head_size: Width of a head; None to share the hidden size.
        feed_forward_size: Width inside the feed-forward network.
        activation: Of the feed-forward network.
        is_gated: The activation multiplies a second product (T5 1.1).
        norm: Where residuals are normalized.
        norm_kind: How: "layer", or "rms" without mean and bias (T5).
        norm_eps: Added to the variance.
        linear_bias: Products inside blocks add something; not in T5.
        scales_scores: Attention scores are divided by the root of the head size; not in T5.
        positions: How order is told.
        sinusoid: Order of sines and cosines, see `sinusoids`.
        max_positions: Longest sequence in tokens; None where positions know no end.
        position_offset: Row of the position table for a first token (RoBERTa: 2).
        rotary_base: Of the angles of rotary positions.
        rotary_scaling: How they are slowed down for longer texts, see `RotaryScaling`.
        rotary_scaling_factor: By how much.
        rotary_low_factor, rotary_high_factor, rotary_trained_positions: Of scaling "llama3".
        convolution_width: Neighbourhood of convolutional positions, odd.
        relative_buckets: Of relative positions, how many distances are told apart.
        relative_max_distance: From where on they are not.
        token_types: Rows of the token-type table; 0 for none.
        embedding_norm: Normalize the embedded sum.
        embedding_scale: Multiply token vectors by the root of the hidden size.
        dropout: Rate on sublayer results and embeddings, while training.
        attention_dropout: Rate on attention weights, while training.
        head: What stands on the body.
        num_classes: Outputs of a classification head.
        pooling: Which vector stands for a sequence: its first position's, or the mean.
        has_pooler: The body ends in BERT's dense tanh layer over the pooled vector, which the
            classification head then reads instead of having a dense layer of its own.
        classifier_activation: Of the classification head's dense layer; None for no such layer.
        classifier_dropout: Rate before the last layer; None for the rate of `dropout`.
        drops_pooled: Dropout also falls before the head's dense layer (RoBERTa).
        head_activation: Of the vocabulary head.
        tie_output: The next-token head multiplies by the token table itself.
        output_bias: It adds something.
        output_scale: It divides what it reads by the root of the hidden size (T5 1.0).
        initial_std: Spread of freshly drawn weights.
    """

    vocab_size: int
    hidden_size: int
    encoder_layers: int
    num_heads: int
    feed_forward_size: int
    decoder_layers: int = 0
    decoder_vocab_size: int | None = None
    num_key_value_heads: int | None = None
    head_size: int | None = None
    activation: str = "gelu"
    is_gated: bool = False
    norm: NormPlace = "post"
    norm_kind: NormKind = "layer"
    norm_eps: float = 1e-12
    linear_bias: bool = True
    scales_scores: bool = True
    positions: PositionKind = "learned"
    sinusoid: SinusoidKind = "interleaved"
    max_positions: int | None = 512
    position_offset: int = 0
    rotary_base: float = 10000.0
    rotary_scaling: RotaryScalingKind = "none"
    rotary_scaling_factor: float = 1.0
    rotary_low_factor: float = 1.0
    rotary_high_factor: float = 4.0
    rotary_trained_positions: int = 8192
    convolution_width: int = 7
    relative_buckets: int = 32
    relative_max_distance: int = 128
    token_types: int = 0
    embedding_norm: bool = True
    embedding_scale: bool = False
    dropout: float = 0.1
    attention_dropout: float = 0.1
    head: HeadKind = "none"
    num_classes: int = 0
    pooling: PoolingKind = "first"
    has_pooler: bool = False
    classifier_activation: str | None = None
    classifier_dropout: float | None = None
    drops_pooled: bool = False
    head_activation: str = "gelu"
    tie_output: bool = True
    output_bias: bool = False
    output_scale: bool = False
    initial_std: float = 0.02

    def __post_init__(self) -> None:
        faults = [
            *self._size_faults(),
            *self._attention_faults(),
            *self._decoder_faults(),
            *self._choice_faults(),
            *self._rate_faults(),
        ]
        if faults:
            raise ConfigError("; ".join(faults))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelConfig":
        """Read what `dataclasses.asdict` wrote, or what stands in a file.

        Raises:
            ConfigError: If a key is unknown, or a value is not what its field holds.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f"unknown model settings {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        faults = _type_faults(values)
        if faults:
            raise ConfigError("; ".join(faults))
        return cls(**values)

    def _size_faults(self) -> list[str]:
        faults = [
            f"{name} is {getattr(self, name)}; it has to be at least {least}"
            for name, least in LEAST.items()
            if not getattr(self, name) >= least
        ]
        for name in ("head_size", "num_key_value_heads", "decoder_vocab_size"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                faults.append(f"{name} is {getattr(self, name)}; it has to be null or at least 1")
        if self.positions == "learned" and (self.max_positions is None or self.max_positions < 1):
            faults.append(
                f"max_positions is {self.max_positions}; learned positions need at least 1"
            )
        if self.head == "classification" and self.num_classes < 1:
            faults.append(
                f"num_classes is {self.num_classes}; a classification head needs 1 or more"
            )
        return faults

    def _attention_faults(self) -> list[str]:
        faults = []
        if self.head_size is None and self.num_heads >= 1 and self.hidden_size % self.num_heads:
            below = self.hidden_size // self.num_heads * self.num_heads
            fit = " and ".join(str(n) for n in (below, below + self.num_heads) if n)
            faults.append(
                f"hidden_size is {self.hidden_size}, which num_heads = {self.num_heads} does not "
                f"divide; {fit} would fit"
            )
        shared = self.num_key_value_heads
        if shared is not None and shared >= 1 and self.num_heads % shared:
            fit = ", ".join(str(n) for n in range(1, self.num_heads + 1) if not self.num_heads % n)
            faults.append(
                f"num_key_value_heads is {shared}, which does not divide num_heads = "
                f"{self.num_heads}; allowed are {fit}"
            )
        if not 0 < self.rotary_low_factor < self.rotary_high_factor:
            faults.append(
                f"rotary_low_factor is {self.rotary_low_factor}; it has to lie above 0 and below "
                f"rotary_high_factor = {self.rotary_high_factor}"
            )
        return faults

    def _decoder_faults(self) -> list[str]:
        if not self.decoder_layers:
            wants: dict[str, object] = {"decoder_vocab_size": self.decoder_vocab_size}
            if self.head == "next_token":
                wants["head"] = self.head
            return [
                f"{name} is {value!r}, which needs a decoder; set decoder_layers"
                for name, value in wants.items()
                if value is not None
            ]
        faults = []
        if not self.encoder_layers and self.decoder_vocab_size is not None:
            faults.append(
                f"decoder_vocab_size is {self.decoder_vocab_size}, but a decoder alone has one "
                f"token table; set vocab_size, or encoder_layers"
            )
        if self.positions == "convolution":
            faults.append("positions is 'convolution', which a decoder cannot read step by step")
        if self.head not in ("none", "next_token"):
            faults.append(f"head is {self.head!r}; on a decoder stands 'next_token' or 'none'")
        return faults

    def _choice_faults(self) -> list[str]:
        choices: dict[str, tuple[object, ...]] = {
            "activation": tuple(ACTIVATIONS),
            "head_activation": tuple(ACTIVATIONS),
            "classifier_activation": (None, *ACTIVATIONS),
        }
        for each in fields(self):
            if get_origin(each.type) is Literal:
                choices[each.name] = get_args(each.type)
        return [
            f"{name} is {getattr(self, name)!r}; allowed are {', '.join(map(str, allowed))}"
            for name, allowed in choices.items()
            if getattr(self, name) not in allowed
        ]

    def _rate_faults(self) -> list[str]:
        return [
            f"{name} is {rate}; it has to be at least 0 and below 1"
            for name in ("dropout", "attention_dropout", "classifier_dropout")
            if (rate := getattr(self, name)) is not None and not 0 <= rate < 1
        ]


def _type_faults(values: Mapping[str, Any]) -> list[str]:
    """Name the values that are not what their fields hold."""
    faults = []
    for field in (field for field in fields(ModelConfig) if field.name in values):
        value = values[field.name]
        options = get_args(field.type) or (field.type,)
        if get_origin(field.type) is Literal and value not in options:
            faults.append(f"{field.name} is {value!r}; allowed are {', '.join(options)}")
        wanted = [option for option in options if option in WORDS]
        if wanted and not any(_is_a(value, option) for option in options):
            names = " or ".join(WORDS[option] for option in wanted)
            faults.append(f"{field.name} is {value!r}; it has to be {names}")
    return faults


def _is_a(value: object, wanted: Any) -> bool:
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)
