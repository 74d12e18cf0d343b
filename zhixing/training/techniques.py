"""Techniques that change how a built model is trained: dropout rates, LoRA adapters, freezing.

They are put on here, for encoders, decoders and both, and nowhere else.
"""

from torch import nn

from zhixing.models.adapters import add_adapters
from zhixing.models.transformer import Transformer
from zhixing.training.config import TrainingConfig
from zhixing.training.optimizers import freeze


def apply_techniques(model: Transformer, config: TrainingConfig) -> None:
    """Set a model's dropout rates, put low-rank adapters on it, and freeze what shall not learn.

    Raises:
        ConfigError: If a rank or a number of layers does not fit the model.
    """
    stacks = [stack for stack in (model.encoder, model.decoder) if stack is not None]
    tables = [part for part in (model.embedding, model.decoder_embedding) if part is not None]
    for stack in stacks:
        stack.attention_dropout = config.attention_dropout
    if config.dropout is not None:
        for part in (*stacks, *tables, model.classification):
            if part is not None:
                part.dropout = config.dropout
    if config.lora_rank:
        add_adapters(
            nn.ModuleList(stacks),
            rank=config.lora_rank,
            alpha=config.lora_alpha,
            seed=config.seed,
        )
        for frozen in (*tables, model.next_token):
            if frozen is not None:
                frozen.requires_grad_(False)
    freeze(model, config)
