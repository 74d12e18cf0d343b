"""Recipe: every setting of a training, of its data and of a new model."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal

from zhixing.config import Setting, override, setting, settings_of
from zhixing.data.roles import Columns
from zhixing.errors import ConfigError
from zhixing.layers.block import NormPlace
from zhixing.layers.positions import PositionKind
from zhixing.models.config import ModelConfig, PoolingKind
from zhixing.training.config import TrainingConfig

# What `model` is where one is to be built from nothing.
NEW = "new"
# Two texts and the marks around them, with a few tokens of each.
MIN_POSITIONS = 16


@dataclass(frozen=True)
class DataChoice:
    """Say how rows are read from tables; `data.label=stars`, or `label=stars` for short."""

    text: str | None = setting(None, "Column of the texts; found by its name if none is given.")
    pair: str | None = setting(None, "Column of second texts.")
    label: str | None = setting(None, "Column of the labels.")
    target: str | None = setting(None, "Column of what is to be written.")
    weight: str | None = setting(None, "Column that says how much each row counts in training.")
    old: str | None = setting(
        None,
        "File of pairs of the kind that an adapted model was made for, on which it is scored "
        "before and after.",
    )
    multi_label: bool = setting(False, "A row may bear several labels, or none.")
    label_separator: str | None = setting(None, "Between several labels in one cell.")
    validation_fraction: float = setting(
        0.1, "Share of rows held back where no validation rows are given; 0 for none."
    )
    class_weights: Literal["none", "balanced"] = setting(
        "none", "balanced weighs every class alike however many rows it has."
    )

    # The settings that name the column of a role.
    ROLES: ClassVar[tuple[str, ...]] = ("text", "pair", "label", "target", "weight")

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_fraction < 1.0:
            raise ConfigError(
                f"validation_fraction is {self.validation_fraction}; it has to be 0 to below 1"
            )

    @property
    def columns(self) -> Columns:
        """Give the columns asked for."""
        return Columns(**{role: getattr(self, role) for role in self.ROLES})


@dataclass(frozen=True)
class NewModel:
    """Describe a model to be built from nothing, with a vocabulary learned from the texts."""

    vocabulary: Literal["wordpiece", "byte_bpe", "unigram"] = setting(
        "wordpiece", "How texts are cut into pieces: WordPiece, byte-level BPE or unigram."
    )
    vocab_size: int = setting(8000, "How many pieces at most.", unit="pieces")
    lowercase: bool = setting(True, "Read letters without case.")
    min_frequency: int = setting(2, "How often a piece has to occur.")
    hidden_size: int = setting(256, "Width of the hidden states.")
    encoder_layers: int = setting(3, "Blocks of the encoder.", unit="layers")
    decoder_layers: int = setting(0, "Blocks of the decoder.", unit="layers")
    num_heads: int = setting(4, "Attention heads a block.")
    feed_forward_size: int = setting(512, "Width inside the feed-forward network.")
    positions: PositionKind = setting("convolution", "How order is told.")
    convolution_width: int = setting(7, "Neighbourhood of convolutional positions, odd.")
    max_positions: int = setting(512, "Longest window.", unit="tokens")
    norm: NormPlace = setting("pre", "Where residuals are normalized.")
    pooling: PoolingKind = setting("mean", "Which vector stands for a text.")
    activation: str = setting("gelu", "Of the feed-forward network.")
    dropout: float = setting(0.2, "Dropout rate on sublayer results and embeddings.")

    def __post_init__(self) -> None:
        if self.max_positions < MIN_POSITIONS:
            raise ConfigError(
                f"new.max_positions is {self.max_positions}; a window has to have room for at "
                f"least {MIN_POSITIONS} tokens"
            )

    def tokenizer(self) -> dict[str, Any]:
        """Give the arguments of `train_tokenizer`."""
        return {
            "kind": self.vocabulary,
            "vocab_size": self.vocab_size,
            "lowercase": self.lowercase,
            "min_frequency": self.min_frequency,
        }

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
        full: dict[str, Any] = {}
        for key, value in values.items():
            name = f"data.{key}" if key in names else key
            if name in full:
                raise ConfigError(f"{key} is set twice, to {full[name]!r} and {value!r}; keep one")
            full[name] = value
        return full

    def keys(self, values: Mapping[str, Any]) -> list[str]:
        """List the settings that some values set, a section's as `section.name`."""
        keys = []
        for key, value in self._with_sections(values).items():
            inner = value if isinstance(value, Mapping) else None
            keys += [key] if inner is None else [f"{key}.{name}" for name in inner]
        return keys

    def settings(self) -> list[Setting]:
        """List every setting with its value as default."""
        sections = settings_of(_Sections(self.data, self.new))
        return [*settings_of(self.training), *sections]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, in the form that `changed` reads."""
        return {**asdict(self.training), "data": asdict(self.data), "new": asdict(self.new)}


def refuse_unread(
    recipe: Recipe, values: Mapping[str, Any], task: str, obeys: Callable[[str], bool]
) -> None:
    """Refuse settings that a person set and that change nothing in a training.

    Args:
        recipe: Of the task, with its defaults.
        values: What a person set.
        task: Its name.
        obeys: Tells whether the task obeys a setting.

    Raises:
        ConfigError: With all of them. One that is unknown is left to `Recipe.changed`.
    """
    known = {each.name for each in recipe.settings()}
    unread = [key for key in recipe.keys(values) if key in known and not obeys(key)]
    if unread:
        names = ", ".join(unread)
        is_new = all(key.startswith("new.") for key in unread)
        remedy = "they describe a new model: add --model new" if is_new else "leave them out"
        raise ConfigError(
            f"{names} would change nothing in this training ({task}); {remedy}, or see "
            f"zhixing train {task} --settings"
        )


@dataclass(frozen=True)
class _Sections:
    data: DataChoice
    new: NewModel
