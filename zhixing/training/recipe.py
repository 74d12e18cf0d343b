"""Recipe: every setting of a training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from zhixing.config import override
from zhixing.data.table import Columns
from zhixing.errors import ConfigError
from zhixing.layers.positions import PositionKind
from zhixing.layers.residual import NormPlace
from zhixing.models.config import ModelConfig, PoolingKind
from zhixing.training.config import TrainingConfig

# Two texts and the marks around them, with a few tokens of each.
FEWEST_POSITIONS = 16


@dataclass(frozen=True)
class DataChoice:
    """Say how rows are read from tables.

    Attributes:
        text: Column of the texts; found by name if none is given.
        pair: Column of second texts.
        label: Column of the labels.
        target: Column of what is to be written.
        weight: Column that says how much each row counts in training; none if not given.
        old: File of pairs of the kind that an adapted translator was made for, which it is scored
            on before and after.
        multi_label: A row may bear several labels, or none.
        label_separator: Between several labels in one cell.
        validation_fraction: Share held back where no validation rows are given; 0 for none.
        class_weights: "balanced" weighs every class alike however many rows it has.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None
    target: str | None = None
    weight: str | None = None
    old: str | None = None
    multi_label: bool = False
    label_separator: str | None = None
    validation_fraction: float = 0.1
    class_weights: Literal["none", "balanced"] = "none"

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_fraction < 1.0:
            raise ConfigError(
                f"validation_fraction is {self.validation_fraction}; it has to be 0 to below 1"
            )

    @property
    def columns(self) -> Columns:
        """Give the columns asked for."""
        return Columns(self.text, self.pair, self.label, self.weight, self.target)


@dataclass(frozen=True)
class NewModel:
    """Describe a model to be built from nothing, with a vocabulary learned from the texts.

    Attributes:
        vocabulary: How texts are cut into pieces.
        vocab_size: How many pieces at most.
        lowercase: Read letters without case.
        min_frequency: How often a piece has to occur.
        hidden_size, encoder_layers, decoder_layers, num_heads, feed_forward_size: Sizes; a model
            that writes needs a decoder.
        positions, convolution_width: How order is told.
        max_positions: Longest window in tokens.
        norm, pooling, activation, dropout: See `ModelConfig`.
    """

    vocabulary: Literal["wordpiece", "byte_bpe", "unigram"] = "wordpiece"
    vocab_size: int = 8000
    lowercase: bool = True
    min_frequency: int = 2
    hidden_size: int = 256
    encoder_layers: int = 3
    decoder_layers: int = 0
    num_heads: int = 4
    feed_forward_size: int = 512
    positions: PositionKind = "convolution"
    convolution_width: int = 7
    max_positions: int = 512
    norm: NormPlace = "pre"
    pooling: PoolingKind = "mean"
    activation: str = "gelu"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if self.max_positions < FEWEST_POSITIONS:
            raise ConfigError(
                f"new.max_positions is {self.max_positions}; a window has to have room for at "
                f"least {FEWEST_POSITIONS} tokens"
            )

    def writer_config(self, *, vocab_size: int, padding_id: int) -> ModelConfig:
        """Give the configuration of a model that writes, in a form that others open: M2M-100's.

        Raises:
            ConfigError: If the settings are not that form's.
        """
        if self.decoder_layers < 1 or self.positions != "sinusoidal" or self.norm != "pre":
            raise ConfigError(
                f"new.decoder_layers is {self.decoder_layers}, new.positions {self.positions!r} "
                f"and new.norm {self.norm!r}; a new model that writes has at least one layer, "
                f"'sinusoidal' positions and 'pre'"
            )
        return ModelConfig(
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            encoder_layers=self.encoder_layers,
            decoder_layers=self.decoder_layers,
            num_heads=self.num_heads,
            feed_forward_size=self.feed_forward_size,
            activation=self.activation,
            norm="pre",
            norm_eps=1e-5,
            positions="sinusoidal",
            sinusoid="halves_inclusive",
            position_offset=padding_id + 1,
            max_positions=self.max_positions,
            embedding_norm=False,
            embedding_scale=True,
            dropout=self.dropout,
            attention_dropout=0.0,
            head="next_token",
            initial_std=self.hidden_size**-0.5,
        )

    def config(self, *, vocab_size: int, num_classes: int) -> ModelConfig:
        """Give the configuration of a model that classifies."""
        return ModelConfig(
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            encoder_layers=self.encoder_layers,
            num_heads=self.num_heads,
            feed_forward_size=self.feed_forward_size,
            activation=self.activation,
            norm=self.norm,
            norm_eps=1e-6,
            positions=self.positions,
            convolution_width=self.convolution_width,
            max_positions=self.max_positions,
            dropout=self.dropout,
            attention_dropout=0.0,
            head="classification",
            num_classes=num_classes,
            pooling=self.pooling,
        )


@dataclass(frozen=True)
class Recipe:
    """Hold all settings of a training; a recipe file and `key=value` fill this one.

    Attributes:
        training: How the loop runs; its settings are written without a section.
        data: How rows are read: `data.label=stars`.
        new: The model to build, where none is loaded: `new.hidden_size=256`.
    """

    training: TrainingConfig = field(default_factory=TrainingConfig)
    data: DataChoice = field(default_factory=DataChoice)
    new: NewModel = field(default_factory=NewModel)

    def changed(self, values: Mapping[str, Any]) -> "Recipe":
        """Change some settings; those of the loop are named without a section.

        Those of the data may be too: `label=stars` is `data.label=stars`. To set `batch_tokens`
        unsets `batch_size`; both at once are refused.
        """
        values = self._with_sections(values)
        if "batch_tokens" in values and "batch_size" not in values:
            values["batch_size"] = 0
        sections = ("data", "new")
        own = {k: v for k, v in values.items() if k.partition(".")[0] in sections}
        loop = {k: v for k, v in values.items() if k not in own}
        changed = override(_Sections(self.data, self.new), own)
        return Recipe(override(self.training, loop), changed.data, changed.new)

    @staticmethod
    def _with_sections(values: Mapping[str, Any]) -> dict[str, Any]:
        """Write `label` as `data.label`."""
        names = {field.name for field in fields(DataChoice)}
        whole: dict[str, Any] = {}
        for key, value in values.items():
            name = f"data.{key}" if key in names else key
            if name in whole:
                raise ConfigError(f"{key} is set twice, to {whole[name]!r} and {value!r}; keep one")
            whole[name] = value
        return whole

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, in the form that `changed` reads."""
        return {**asdict(self.training), "data": asdict(self.data), "new": asdict(self.new)}


@dataclass(frozen=True)
class _Sections:
    data: DataChoice
    new: NewModel
