"""TrainingConfig: everything that decides what a run computes."""

from dataclasses import dataclass
from typing import Literal, get_args

from zhixing.errors import ConfigError

Schedule = Literal["linear", "cosine", "constant", "inverse_sqrt"]
TrainingPrecision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the loop; two runs with equal settings, data and machine give equal weights.

    Attributes:
        epochs: Times that every row is read.
        max_steps: Stop after so many steps; 0 for no such limit.
        batch_size: Rows a step; 0 for a budget of tokens instead.
        batch_tokens: Tokens a step; 0 for a number of rows instead.
        micro_tokens: Tokens computed at once; a larger step is accumulated from parts, which
            changes nothing but the memory it needs.
        learning_rate: Highest learning rate.
        schedule: How it falls after the warm-up: to zero in a line or as a cosine, by the inverse
            root of the step, or not at all.
        warmup_ratio: Share of all steps over which the rate rises from zero.
        layer_rate_decay: Factor on the rate from each layer to the one below; 1 for none.
        head_rate_factor: Factor on the rate of a head.
        weight_decay: Decoupled decay, on matrices alone: not on biases and norms.
        beta1: Of Adam's first moment.
        beta2: Of Adam's second moment.
        epsilon: Added to the root of the second moment.
        max_grad_norm: Longest gradient; 0 for no limit.
        dropout: Rate on sublayer results; None for the model's own.
        attention_dropout: Rate on attention weights. 0 by default: it needs the weights formed,
            which costs a fifth of the speed, and was not found to gain anything.
        label_smoothing: Share of the target spread over all classes.
        max_windows: Windows that a long text is trained on at most.
        precision: Of matrix products; "auto" is bfloat16 where the device multiplies it fast.
        gradient_checkpointing: Compute activations again in backward: less memory, a third more
            time, the same gradients.
        freeze_embedding: Leave the embedding as it is.
        freeze_layers: Leave so many of the lowest layers as they are.
        lora_rank: Rank of low-rank adapters in place of full training; 0 for none.
        lora_alpha: Their scale, divided by the rank.
        average_points: The run ends with the mean of the weights at so many points near its end,
            in place of the last ones; 0 for the last ones. One stopped early has no mean.
        average_share: Of the run, from its end, over which those points are spread evenly.
        metric: Decides which snapshot is best; None for the task's first score after the loss.
        evaluations_per_epoch: How often validation is scored; 0 for once, at the very end.
        patience: Stop after so many evaluations without improvement; 0 to go on.
        snapshot_minutes: Write a snapshot when so much time has passed; 0 for never.
        snapshot_steps: Write a snapshot every so many steps; 0 for never.
        keep_snapshots: How many of the newest are kept.
        seed: Of fresh weights, order and dropout.
    """

    epochs: float = 3.0
    max_steps: int = 0
    batch_size: int = 16
    batch_tokens: int = 0
    micro_tokens: int = 8192
    learning_rate: float = 5e-5
    schedule: Schedule = "linear"
    warmup_ratio: float = 0.1
    layer_rate_decay: float = 1.0
    head_rate_factor: float = 1.0
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    dropout: float | None = None
    attention_dropout: float = 0.0
    label_smoothing: float = 0.0
    max_windows: int = 8
    precision: TrainingPrecision = "auto"
    gradient_checkpointing: bool = False
    freeze_embedding: bool = False
    freeze_layers: int = 0
    lora_rank: int = 0
    lora_alpha: float = 16.0
    average_points: int = 0
    average_share: float = 0.5
    metric: str | None = None
    evaluations_per_epoch: int = 1
    patience: int = 0
    snapshot_minutes: float = 10.0
    snapshot_steps: int = 0
    keep_snapshots: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [*self._below_minimum(), *self._choices()]
        if (self.batch_size > 0) == (self.batch_tokens > 0):
            faults.append(
                f"batch_size is {self.batch_size} and batch_tokens is {self.batch_tokens}; set "
                f"exactly one of them above 0, for instance batch_size=0 batch_tokens=1024"
            )
        if faults:
            raise ConfigError("; ".join(faults))

    def _below_minimum(self) -> list[str]:
        minimum = {
            **dict.fromkeys(("max_steps", "batch_size", "batch_tokens", "lora_rank"), 0),
            **dict.fromkeys(("freeze_layers", "patience", "snapshot_steps", "seed"), 0),
            "average_points": 0,
            **dict.fromkeys(("micro_tokens", "max_windows"), 1),
            "evaluations_per_epoch": 0,
            "keep_snapshots": 1,
        }
        faults = [
            f"{name} is {getattr(self, name)}; it has to be at least {least}"
            for name, least in minimum.items()
            if getattr(self, name) < least
        ]
        ranges: dict[str, tuple[float, float]] = {
            "epochs": (1e-6, 1e6),
            "learning_rate": (1e-12, 10.0),
            "warmup_ratio": (0.0, 1.0),
            "layer_rate_decay": (1e-3, 1.0),
            "head_rate_factor": (1e-3, 1e3),
            "weight_decay": (0.0, 10.0),
            "beta1": (0.0, 0.99999),
            "beta2": (0.0, 0.99999999),
            "epsilon": (1e-16, 1.0),
            "max_grad_norm": (0.0, 1e9),
            "dropout": (0.0, 0.99),
            "attention_dropout": (0.0, 0.99),
            "label_smoothing": (0.0, 0.99),
            "lora_alpha": (1e-6, 1e6),
            "average_share": (1e-6, 1.0),
            "snapshot_minutes": (0.0, 1e6),
        }
        faults += [
            f"{name} is {value}; it has to lie between {low:g} and {high:g}"
            for name, (low, high) in ranges.items()
            if (value := getattr(self, name)) is not None and not low <= value <= high
        ]
        return faults

    def _choices(self) -> list[str]:
        choices = {"schedule": get_args(Schedule), "precision": get_args(TrainingPrecision)}
        return [
            f"{name} is {getattr(self, name)!r}; allowed are {', '.join(allowed)}"
            for name, allowed in choices.items()
            if getattr(self, name) not in allowed
        ]
