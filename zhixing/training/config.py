"""TrainingConfig: every hyperparameter of the training loop, each told of in one place."""

from dataclasses import dataclass
from typing import Literal

from zhixing.config import range_faults, setting
from zhixing.errors import ConfigError

Schedule = Literal["linear", "cosine", "constant", "inverse_sqrt"]
TrainingPrecision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the loop; two runs with equal settings, data and machine give equal weights.

    Each field says what it does; `zhixing train TASK --settings` and docs/settings.md print them.
    """

    epochs: float = setting(3.0, "Times that every row is read.", low=1e-6, high=1e6)
    max_steps: int = setting(
        0, "Stop after so many steps; 0 for no such limit.", unit="steps", low=0
    )
    batch_size: int = setting(
        16, "Rows a step; 0 for a budget of tokens instead.", unit="rows", low=0
    )
    batch_tokens: int = setting(
        0, "Tokens a step; 0 for a number of rows instead.", unit="tokens", low=0
    )
    micro_tokens: int = setting(
        8192,
        "Tokens computed at once; a larger step is accumulated from parts (gradient accumulation), "
        "which changes nothing but the memory it needs.",
        unit="tokens",
        low=1,
    )
    learning_rate: float = setting(5e-5, "Highest learning rate.", low=1e-12, high=10.0)
    schedule: Schedule = setting(
        "linear",
        "How the learning rate falls after the warm-up: to zero in a line or as a cosine, by the "
        "inverse root of the step, or not at all.",
    )
    warmup_ratio: float = setting(
        0.1,
        "Share of all steps over which the learning rate rises from zero.",
        low=0.0,
        high=1.0,
    )
    layer_rate_decay: float = setting(
        1.0,
        "Factor on the learning rate from each layer to the one below; 1 for none.",
        low=1e-3,
        high=1.0,
    )
    head_rate_factor: float = setting(
        1.0, "Factor on the learning rate of a head.", low=1e-3, high=1e3
    )
    weight_decay: float = setting(
        0.01,
        "Decoupled weight decay (AdamW), on matrices alone: not on biases and norms.",
        low=0.0,
        high=10.0,
    )
    beta1: float = setting(0.9, "Of Adam's first moment.", low=0.0, high=0.99999)
    beta2: float = setting(0.999, "Of Adam's second moment.", low=0.0, high=0.99999999)
    epsilon: float = setting(
        1e-8, "Added to the root of Adam's second moment.", low=1e-16, high=1.0
    )
    max_grad_norm: float = setting(
        1.0, "Longest gradient, beyond which it is clipped; 0 for no limit.", low=0.0, high=1e9
    )
    dropout: float | None = setting(
        None, "Dropout rate on sublayer results; none for the model's own.", low=0.0, high=0.99
    )
    attention_dropout: float = setting(
        0.0,
        "Dropout rate on attention weights; it needs the weights formed, which costs a fifth of "
        "the speed, and was not found to gain anything.",
        low=0.0,
        high=0.99,
    )
    label_smoothing: float = setting(
        0.0, "Share of the target spread over all classes or tokens.", low=0.0, high=0.99
    )
    max_windows: int = setting(
        8, "Windows that a long text is trained on at most.", unit="windows", low=1
    )
    precision: TrainingPrecision = setting(
        "auto", "Of matrix products; auto is bfloat16 where the device multiplies it fast."
    )
    gradient_checkpointing: bool = setting(
        False,
        "Compute activations again in backward: less memory, a third more time, the same "
        "gradients.",
    )
    freeze_embedding: bool = setting(False, "Leave the embedding as it is.")
    freeze_layers: int = setting(
        0, "Leave so many of the lowest layers as they are.", unit="layers", low=0
    )
    lora_rank: int = setting(
        0, "Rank of low-rank adapters (LoRA) in place of full training; 0 for none.", low=0
    )
    lora_alpha: float = setting(
        16.0, "Scale of the adapters, divided by the rank.", low=1e-6, high=1e6
    )
    average_points: int = setting(
        0,
        "The run ends with the mean of the weights at so many points near its end (checkpoint "
        "averaging); 0 for the last ones. One stopped early has no mean.",
        low=0,
    )
    average_share: float = setting(
        0.5,
        "Share of the run, from its end, over which those points are spread evenly.",
        low=1e-6,
        high=1.0,
    )
    metric: str | None = setting(
        None, "Decides which snapshot is best; none for the task's first score after the loss."
    )
    evaluations_per_epoch: int = setting(
        1, "How often validation is scored; 0 for once, at the very end.", low=0
    )
    patience: int = setting(
        0,
        "Stop after so many evaluations without improvement (early stopping); 0 to go on.",
        unit="evaluations",
        low=0,
    )
    snapshot_minutes: float = setting(
        10.0,
        "Write a snapshot when so much time has passed; 0 for never.",
        unit="minutes",
        low=0.0,
        high=1e6,
    )
    snapshot_steps: int = setting(
        0, "Write a snapshot every so many steps; 0 for never.", unit="steps", low=0
    )
    keep_snapshots: int = setting(2, "How many of the newest snapshots are kept.", low=1)
    seed: int = setting(0, "Of fresh weights, order and dropout.", low=0)

    def __post_init__(self) -> None:
        faults = range_faults(self)
        if (self.batch_size > 0) == (self.batch_tokens > 0):
            faults.append(
                f"batch_size is {self.batch_size} and batch_tokens is {self.batch_tokens}; set "
                f"exactly one of them above 0, for instance batch_size=0 batch_tokens=1024"
            )
        if faults:
            raise ConfigError("; ".join(faults))
